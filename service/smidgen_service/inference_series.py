"""What is counted of the inferences of one version: its metrics, and its statistics made of them.

The series are found once: looking labels up takes longer than counting.
"""

from __future__ import annotations

from smidgen_service.clock import Clock, now_us
from smidgen_service.series import CountFamily, Distribution, DistributionFamily
from smidgen_service.statistics import Spent, StageSpent, StageTimes, VersionStatistics

MOST_BATCH_SIZES = 256
"""Batch sizes told apart for each version: a client chooses them, and must not fill the memory."""


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


class VersionSeries:
    """The series of one version, for the event loop's thread alone."""

    def __init__(
        self,
        labels: tuple[str, str],
        *,
        requests: CountFamily,
        stage_seconds: DistributionFamily,
        batch_size: DistributionFamily,
        clock: Clock = now_us,
    ) -> None:
        self._labels = labels
        self._requests = requests
        self._clock = clock
        self._ok = requests.labels(*labels, "ok")
        self._queue = stage_seconds.labels(*labels, "queue")
        self._input = stage_seconds.labels(*labels, "input")
        self._compute = stage_seconds.labels(*labels, "compute")
        self._output = stage_seconds.labels(*labels, "output")
        self._batch_size = batch_size.labels(*labels)
        self._samples = 0
        self._last_us = 0
        self._success_s = 0.0
        self._failed: dict[str, _Total] = {}
        self._batches: dict[int, _Batch] = {}

    def succeeded(self, samples: int, queue_s: float, times: StageTimes, total_s: float) -> None:
        """Counts a request that was answered, with the computation that it was part of.

        Args:
            samples: Of the request.
            queue_s: From its arrival to the computation, in seconds.
            times: Of the computation.
            total_s: From its arrival to its answer.
        """
        self._ok.value += 1
        self._samples += samples
        self._success_s += total_s
        self._queue.observe(queue_s)
        self._input.observe(times.input_s)
        self._compute.observe(times.compute_s)
        self._output.observe(times.output_s)

    def failed(self, outcome: str, total_s: float) -> None:
        """Counts a request that was refused or given up; `outcome` is one of a few words."""
        self._requests.labels(*self._labels, outcome).inc()
        self._failed.setdefault(outcome, _Total()).add(total_s)

    def executed(self, samples: int, times: StageTimes) -> None:
        """Counts one computation, of the samples of one request or of several."""
        self._batch_size.observe(samples)
        self._last_us = self._clock()
        batch = self._batches.get(samples)
        if batch is None and len(self._batches) < MOST_BATCH_SIZES:
            batch = self._batches[samples] = _Batch()
        if batch is not None:
            batch.add(times)

    def statistics(self) -> VersionStatistics:
        """Returns what was counted so far."""
        return VersionStatistics(
            last_inference_us=self._last_us,
            inference_count=self._samples,
            execution_count=sum(self._batch_size.counts),
            success=_spent(self._ok.value, self._success_s),
            failed={outcome: total.spent for outcome, total in self._failed.items()},
            queue=_observed(self._queue),
            stages=StageSpent(
                _observed(self._input), _observed(self._compute), _observed(self._output)
            ),
            batches={samples: batch.spent for samples, batch in self._batches.items()},
        )


def _observed(distribution: Distribution) -> Spent:
    return _spent(sum(distribution.counts), distribution.sum)


def _spent(count: int, seconds: float) -> Spent:
    return Spent(count, round(seconds * 1e9))
