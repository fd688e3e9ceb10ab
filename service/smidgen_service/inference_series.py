"""What is counted of the inferences of one version: its metrics, and its statistics made of them.

The series are found once: looking labels up takes longer than counting. And most of the counting is
put off: it touches a dozen objects, which a short call would fetch from memory. What many calls put
off is counted out of the processor's cache.
"""

from __future__ import annotations

import threading
from typing import Self

from smidgen_service.clock import Clock, now_us
from smidgen_service.series import Count, CountFamily, Distribution, DistributionFamily, LevelFamily
from smidgen_service.statistics import Spent, StageSpent, StageTimes, VersionStatistics

MOST_BATCH_SIZES = 256
"""Batch sizes told apart for each version: a client chooses them, and must not fill the memory."""
OUTCOMES = ("ok", "rejected", "cancelled", "deadline", "invalid", "error")
"""How requests end."""
_MOST_PUT_OFF = 64


class _Total:
    """How often something happened, and its seconds altogether."""

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Adds one more time."""
        self.count += 1
        self.seconds += seconds

    @property
    def spent(self) -> Spent:
        """What it is in statistics."""
        return _spent(self.count, self.seconds)


class _Batch:
    """The computations of one number of samples, and their seconds by stage."""

    __slots__ = ("compute_s", "count", "input_s", "output_s")

    def __init__(self) -> None:
        self.count = 0
        self.input_s = self.compute_s = self.output_s = 0.0

    def add(self, times: StageTimes) -> None:
        """Adds one computation."""
        self.count += 1
        self.input_s += times.input_s
        self.compute_s += times.compute_s
        self.output_s += times.output_s

    @property
    def spent(self) -> StageSpent:
        """What it is in statistics."""
        return StageSpent(
            _spent(self.count, self.input_s),
            _spent(self.count, self.compute_s),
            _spent(self.count, self.output_s),
        )


class Pending:
    """One request that waits to be computed, until it leaves or the block ends."""

    __slots__ = ("_is_waiting", "_level")

    def __init__(self, level: Count) -> None:
        self._level = level
        self._is_waiting = False

    def __enter__(self) -> Self:
        self._is_waiting = True
        self._level.value += 1
        return self

    def __exit__(self, *_error: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Counts it less, the first time."""
        if self._is_waiting:
            self._is_waiting = False
            self._level.value -= 1


class VersionSeries:
    """The series of one version. The event loop's thread alone counts, and any thread reads."""

    def __init__(
        self,
        labels: tuple[str, str],
        *,
        requests: CountFamily,
        stage_seconds: DistributionFamily,
        batch_size: DistributionFamily,
        pending: LevelFamily,
        clock: Clock = now_us,
    ) -> None:
        self._clock = clock
        self._queue = stage_seconds.labels(*labels, "queue")
        self._input = stage_seconds.labels(*labels, "input")
        self._compute = stage_seconds.labels(*labels, "compute")
        self._output = stage_seconds.labels(*labels, "output")
        self._batch_size = batch_size.labels(*labels)
        self._pending = pending.labels(*labels)
        # Looked up once for another reason as well: a request that fails after its model was
        # deleted must not show the model's series again.
        self._outcomes = {outcome: requests.labels(*labels, outcome) for outcome in OUTCOMES}
        self._ok = self._outcomes["ok"]
        self._samples = 0
        self._last_us = 0
        self._success_s = 0.0
        self._failed: dict[str, _Total] = {}
        self._batches: dict[int, _Batch] = {}
        self._lock = threading.Lock()
        self._answered: list[tuple[int, float, StageTimes, float]] = []
        self._executed: list[tuple[int, StageTimes]] = []

    def succeeded(self, samples: int, queue_s: float, times: StageTimes, total_s: float) -> None:
        """Counts a request that was answered, with the computation that it was part of.

        Args:
            samples: Of the request.
            queue_s: From its arrival to the computation, in seconds.
            times: Of the computation.
            total_s: From its arrival to its answer.
        """
        self._ok.value += 1
        self._answered.append((samples, queue_s, times, total_s))
        if len(self._answered) >= _MOST_PUT_OFF:
            self.take_in(is_waiting=False)

    def failed(self, outcome: str, total_s: float) -> None:
        """Counts a request that was refused or given up; `outcome` is one of a few words."""
        self._outcomes[outcome].inc()
        self._failed.setdefault(outcome, _Total()).add(total_s)

    def pending(self) -> Pending:
        """Returns what counts a request as one that waits."""
        return Pending(self._pending)

    def executed(self, samples: int, times: StageTimes) -> None:
        """Counts one computation, of the samples of one request or of several."""
        self._last_us = self._clock()
        self._executed.append((samples, times))
        if len(self._executed) >= _MOST_PUT_OFF:
            self.take_in(is_waiting=False)

    def take_in(self, *, is_waiting: bool = True) -> None:
        """Counts what was put off.

        Args:
            is_waiting: Whether to wait for another thread that does the same.
        """
        if not self._lock.acquire(blocking=is_waiting):
            return
        try:
            # Those that come meanwhile are left for the next time.
            answered, executed = self._answered[:], self._executed[:]
            del self._answered[: len(answered)], self._executed[: len(executed)]
            for samples, queue_s, times, total_s in answered:
                self._take_in_answer(samples, queue_s, times, total_s)
            for samples, times in executed:
                self._take_in_computation(samples, times)
        finally:
            self._lock.release()

    def _take_in_answer(
        self, samples: int, queue_s: float, times: StageTimes, total_s: float
    ) -> None:
        self._samples += samples
        self._success_s += total_s
        self._queue.observe(queue_s)
        self._input.observe(times.input_s)
        self._compute.observe(times.compute_s)
        self._output.observe(times.output_s)

    def _take_in_computation(self, samples: int, times: StageTimes) -> None:
        self._batch_size.observe(samples)
        batch = self._batches.get(samples)
        if batch is None and len(self._batches) < MOST_BATCH_SIZES:
            batch = self._batches[samples] = _Batch()
        if batch is not None:
            batch.add(times)

    def statistics(self) -> VersionStatistics:
        """Returns what was counted so far."""
        self.take_in()
        return VersionStatistics(
            last_inference_us=self._last_us,
            inference_count=self._samples,
            execution_count=sum(self._batch_size.counts),
            success=_spent(self._ok.value, self._success_s),
            failed={outcome: total.spent for outcome, total in list(self._failed.items())},
            queue=_observed(self._queue),
            stages=StageSpent(
                _observed(self._input), _observed(self._compute), _observed(self._output)
            ),
            batches={samples: batch.spent for samples, batch in list(self._batches.items())},
        )


def _observed(distribution: Distribution) -> Spent:
    return _spent(sum(distribution.counts), distribution.sum)


def _spent(count: int, seconds: float) -> Spent:
    return Spent(count, round(seconds * 1e9))
