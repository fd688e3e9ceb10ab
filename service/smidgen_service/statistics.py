"""Counts and times of inference for each version, since the server started."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Spent:
    """How often something happened, and how long it took altogether.

    Attributes:
        count: How often.
        ns: Nanoseconds altogether.
    """

    count: int = 0
    ns: int = 0

    def joined(self, other: Spent) -> Spent:
        """Returns both together."""
        return Spent(self.count + other.count, self.ns + other.ns)

    def told(self) -> tuple[int, int]:
        """Returns it for other processes."""
        return self.count, self.ns


@dataclass(frozen=True, slots=True)
class StageTimes:
    """The seconds of one computation by stage: reading the input, computing, making the output."""

    input_s: float
    compute_s: float
    output_s: float

    @property
    def total_s(self) -> float:
        """The seconds of all stages."""
        return self.input_s + self.compute_s + self.output_s


@dataclass(frozen=True, slots=True)
class StageSpent:
    """Time spent by stage."""

    input: Spent = Spent()
    compute: Spent = Spent()
    output: Spent = Spent()

    def joined(self, other: StageSpent) -> StageSpent:
        """Returns both together."""
        return StageSpent(
            self.input.joined(other.input),
            self.compute.joined(other.compute),
            self.output.joined(other.output),
        )

    def told(self) -> list[tuple[int, int]]:
        """Returns it for other processes."""
        return [self.input.told(), self.compute.told(), self.output.told()]

    @classmethod
    def from_told(cls, told: Sequence[Sequence[int]]) -> StageSpent:
        """Returns what `told` was called on, from JSON."""
        return cls(*(Spent(*spent) for spent in told))


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """The statistics of one version.

    Attributes:
        last_inference_us: End of the last computation, in microseconds since 1970; 0 for none.
        inference_count: Samples of requests that succeeded.
        execution_count: Computations. Divides inference_count to the mean batch.
        success: Requests that succeeded, from arrival to answer.
        failed: Requests that failed, by outcome, from arrival to refusal.
        queue: Of requests that succeeded: waiting.
        stages: Of requests that succeeded: the computation that they were part of.
        batches: Computations by their number of samples.
    """

    last_inference_us: int = 0
    inference_count: int = 0
    execution_count: int = 0
    success: Spent = Spent()
    failed: Mapping[str, Spent] = field(default_factory=dict)
    queue: Spent = Spent()
    stages: StageSpent = StageSpent()
    batches: Mapping[int, StageSpent] = field(default_factory=dict)

    def joined(self, other: VersionStatistics) -> VersionStatistics:
        """Returns what two processes have counted together."""
        return VersionStatistics(
            last_inference_us=max(self.last_inference_us, other.last_inference_us),
            inference_count=self.inference_count + other.inference_count,
            execution_count=self.execution_count + other.execution_count,
            success=self.success.joined(other.success),
            failed=_joined(self.failed, other.failed, Spent.joined),
            queue=self.queue.joined(other.queue),
            stages=self.stages.joined(other.stages),
            batches=_joined(self.batches, other.batches, StageSpent.joined),
        )

    def told(self) -> list[Any]:
        """Returns it for other processes, in values that JSON has."""
        return [
            self.last_inference_us,
            self.inference_count,
            self.execution_count,
            self.success.told(),
            {outcome: spent.told() for outcome, spent in self.failed.items()},
            self.queue.told(),
            self.stages.told(),
            {samples: spent.told() for samples, spent in self.batches.items()},
        ]

    @classmethod
    def from_told(cls, told: Sequence[Any]) -> VersionStatistics:
        """Returns what `told` was called on, from JSON."""
        last_us, inferences, executions, success, failed, queue, stages, batches = told
        return cls(
            last_us,
            inferences,
            executions,
            Spent(*success),
            {outcome: Spent(*spent) for outcome, spent in failed.items()},
            Spent(*queue),
            StageSpent.from_told(stages),
            {int(samples): StageSpent.from_told(spent) for samples, spent in batches.items()},
        )

    @property
    def fail(self) -> Spent:
        """Requests that failed, whatever the outcome."""
        spent = self.failed.values()
        return Spent(sum(entry.count for entry in spent), sum(entry.ns for entry in spent))


VersionKey = tuple[str, int]
"""What stands for a model in metrics, and the version."""
Counted = Callable[[], Awaitable[Mapping[VersionKey, VersionStatistics]]]
"""Returns what was counted, in this process or in several."""


def _joined(
    first: Mapping[K, V], second: Mapping[K, V], join: Callable[[V, V], V]
) -> Mapping[K, V]:
    total = dict(first)
    for key, value in second.items():
        total[key] = join(total[key], value) if key in total else value
    return total
