"""What one measurement of whole nets found."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, pairwise

from benchmarks.entries import OURS
from benchmarks.latency import Latency, ratios_turn_by_turn

UNDISTURBED_SHARE = 0.8
"""Of the greatest peak. Another program on the same core takes a quarter, the clock a tenth."""


@dataclass(frozen=True, slots=True)
class Row:
    """One net at one batch size and number of threads.

    Attributes:
        net: Name of the net.
        weights: Which of its weights.
        batch: Samples a call.
        threads: Threads of every contestant.
        isa: Instruction set of the engine.
        multiplications: Multiply-accumulates of a call.
        peaks: Multiply-accumulates a second that the threads could do, before the first round and
            after every one; empty where the engine did not run or the level has no such loop.
        latencies: By contestant.
        kernels: How many of which kernels each contestant runs.
        differences: Norm of the difference from the engine's output by the norm of that output.
        versions: Of the contestants.
        environments: Variables that were set for contestants, such as the limits of a level.
        failures: Why contestants are missing.
    """

    net: str
    weights: str
    batch: int
    threads: int
    isa: str
    multiplications: int
    peaks: tuple[float, ...]
    latencies: dict[str, Latency]
    kernels: dict[str, Mapping[str, int]]
    differences: dict[str, float]
    versions: dict[str, str]
    environments: dict[str, Mapping[str, str]]
    failures: dict[str, str]

    @property
    def ours(self) -> Latency | None:
        """The engine's latency, or None if it could not run the net."""
        return self.latencies.get(f"{OURS} {self.isa}")

    def best_peer(self, peers: Sequence[str], statistic: str) -> str | None:
        """Returns the fastest contestant of some runtimes, or None if none ran."""
        names = [name for name in self.latencies if name.split()[0] in peers]
        return min(names, key=lambda name: getattr(self.latencies[name], statistic), default=None)

    def ratio(self, peers: Sequence[str], statistic: str) -> float | None:
        """Returns how many times faster than the best of some runtimes the engine is."""
        best = self.best_peer(peers, statistic)
        if best is None or self.ours is None:
            return None
        found: float = getattr(self.latencies[best], statistic) / getattr(self.ours, statistic)
        return found

    @property
    def peak(self) -> float | None:
        """The most multiply-accumulates a second that the threads could do."""
        return max(self.peaks, default=None)

    @property
    def undisturbed(self) -> tuple[bool, ...]:
        """Of each round: whether the threads had their cores to themselves before and after it."""
        least = UNDISTURBED_SHARE * max(self.peaks, default=0.0)
        return tuple(min(before, after) >= least for before, after in pairwise(self.peaks))

    def ratio_turn_by_turn(
        self, peers: Sequence[str], rounds: Sequence[bool] | None = None
    ) -> float | None:
        """Returns the least of the peers' ratios to the engine, each the median over the rounds.

        Args:
            peers: Runtimes.
            rounds: Which of the rounds count; all by default.
        """
        if self.ours is None or (rounds is not None and not any(rounds)):
            return None
        ours = self.ours
        ratios = (
            ratios_turn_by_turn(latency, ours)
            for name, latency in self.latencies.items()
            if name.split()[0] in peers
        )
        return min(
            (
                statistics.median(found if rounds is None else compress(found, rounds))
                for found in ratios
            ),
            default=None,
        )
