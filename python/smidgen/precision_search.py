"""Searches for the layers that need more bits for a gate to hold. Needs no torch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from smidgen.config.gate import GateConfig
from smidgen.config.precision import FLOAT, INT8, LayerPrecision, WeightBits
from smidgen.config.search import SearchConfig
from smidgen.gate import Measured, gate_holds
from smidgen.measured import Sensitivity

Precisions = Mapping[str, LayerPrecision]


@dataclass(frozen=True, slots=True)
class Lift:
    """A layer that gets more bits.

    Attributes:
        layer: Name of its node.
        before: What it had.
        after: What it gets.
        loss: What the output loses by this layer alone as it was before.
    """

    layer: str
    before: LayerPrecision
    after: LayerPrecision
    loss: Sensitivity


@dataclass(frozen=True, slots=True)
class Trial:
    """One program that was measured.

    Attributes:
        reason: Why: `start`, `lift` or `give back NODE`.
        lifts: Which layers had more bits than at the start.
        measured: What was found.
        holds: Whether the gate holds.
    """

    reason: str
    lifts: tuple[Lift, ...]
    measured: Measured
    holds: bool


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        precisions: The precision of each layer by node name.
        best: The trial that these come from.
        trials: All of them in order.
        is_complete: Whether the search ended by itself; False where the budget ended it.
    """

    precisions: Precisions
    best: Trial
    trials: tuple[Trial, ...]
    is_complete: bool


def search_precision(
    start: Precisions,
    movable: Collection[str],
    *,
    rank: Callable[[Precisions], Mapping[str, Sensitivity]],
    measure: Callable[[Precisions], Measured],
    gate: GateConfig,
    config: SearchConfig,
    on_trial: Callable[[Sequence[Trial]], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Gives layers more bits until a gate holds, and takes back what was not needed.

    First int4 layers get int8, the most sensitive ones first, as few as will do; where all are not
    enough, int8 layers stay in float in the same way. How many are needed is found by doubling
    their number and then by bisection, as if more bits never hurt. Then each lifted layer is tried
    without, the least sensitive one first. Equal arguments give equal results unless
    `config.seconds` ends the search.

    Args:
        start: The precision of each layer by node name.
        movable: The layers that may get more bits.
        rank: Measures for layers with these precisions what each of them costs alone.
        measure: Makes a program with these precisions and measures it.
        gate: What must hold.
        config: The budget.
        on_trial: Called with all trials so far after each of them.
        clock: Tells the time in seconds.

    Returns:
        The last trial that holds, which has the fewest lifts of those that do; if none holds, the
        one that loses least.
    """
    search = _Search(start, measure, gate=gate, config=config, on_trial=on_trial, clock=clock)
    try:
        _climb(search, start, movable, rank)
        is_complete = True
    except _BudgetSpentError:
        is_complete = False
    best = search.best()
    return SearchResult(
        precisions=_lifted(start, best.lifts),
        best=best,
        trials=tuple(search.trials),
        is_complete=is_complete,
    )


class _BudgetSpentError(Exception):
    """No further trial is allowed."""


class _Search:
    """Tries precisions and keeps what was found."""

    def __init__(
        self,
        start: Precisions,
        measure: Callable[[Precisions], Measured],
        *,
        gate: GateConfig,
        config: SearchConfig,
        on_trial: Callable[[Sequence[Trial]], None],
        clock: Callable[[], float],
    ) -> None:
        self.trials: list[Trial] = []
        self._start = start
        self._measure = measure
        self._gate = gate
        self._config = config
        self._on_trial = on_trial
        self._clock = clock
        self._end = math.inf if config.seconds is None else clock() + config.seconds

    def holds(self, reason: str, lifts: Sequence[Lift]) -> bool:
        """Tries lifts from the start. The first trial is always allowed."""
        is_spent = len(self.trials) >= self._config.evaluations or self._clock() >= self._end
        if self.trials and is_spent:
            raise _BudgetSpentError
        measured = self._measure(_lifted(self._start, lifts))
        holds = gate_holds(self._gate, measured)
        self.trials.append(Trial(reason, tuple(lifts), measured, holds))
        self._on_trial(self.trials)
        return holds

    def best(self) -> Trial:
        """Returns the last trial that holds, or the first of those that lose least."""
        holding = [trial for trial in self.trials if trial.holds]
        return holding[-1] if holding else min(self.trials, key=self._severity)

    def _severity(self, trial: Trial) -> tuple[int, float]:
        lost = trial.measured.lost if self._gate.max_drop is not None else None
        return lost or 0, -trial.measured.sqnr_db


def _climb(
    search: _Search,
    start: Precisions,
    movable: Collection[str],
    rank: Callable[[Precisions], Mapping[str, Sensitivity]],
) -> None:
    if search.holds("start", ()):
        return
    done: list[Lift] = []
    for bits, after in ((WeightBits.INT4, INT8), (WeightBits.INT8, FLOAT)):
        now = _lifted(start, done)
        fitting = [name for name in now if name in movable and now[name].weights is bits]
        if not fitting:
            continue
        losses = rank(now)
        lifts = [Lift(name, now[name], after, losses[name]) for name in fitting]
        lifts.sort(key=_sensitivity)  # stable: equal ones in execution order
        count = _fewest(search, done, lifts)
        if count is not None:
            _give_back(search, [*done, *lifts[:count]])
            return
        done += lifts


def _sensitivity(lift: Lift) -> float:
    """Returns what sorts the layer that costs most to the front."""
    ratio = lift.loss.output_sqnr_db
    return math.inf if ratio is None else ratio


def _fewest(search: _Search, done: Sequence[Lift], lifts: Sequence[Lift]) -> int | None:
    """Returns how many of the lifts, from the first on, are enough; None if all are not."""
    low, high = 0, 1
    while not search.holds("lift", [*done, *lifts[:high]]):
        if high == len(lifts):
            return None
        low, high = high, min(2 * high, len(lifts))
    while high - low > 1:
        middle = (low + high) // 2
        if search.holds("lift", [*done, *lifts[:middle]]):
            high = middle
        else:
            low = middle
    return high


def _give_back(search: _Search, lifts: Sequence[Lift]) -> None:
    """Tries each lift but the last, without which the gate was seen to fail."""
    kept = list(lifts)
    for place in range(len(lifts) - 2, -1, -1):
        lift, later = lifts[place], kept[place + 1 :]
        without = [*kept[:place], *later]
        is_lifted_again = any(other.layer == lift.layer for other in later)
        if not is_lifted_again and search.holds(f"give back {lift.layer}", without):
            kept = without


def _lifted(start: Precisions, lifts: Sequence[Lift]) -> Precisions:
    return {**start, **{lift.layer: lift.after for lift in lifts}}
