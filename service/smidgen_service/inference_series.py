"""The metrics of inference by version, found once: looking labels up takes longer than counting."""

from __future__ import annotations

from smidgen_service.series import CountFamily, DistributionFamily
from smidgen_service.statistics import StageTimes


class VersionSeries:
    """The series of one version."""

    def __init__(
        self,
        labels: tuple[str, str],
        *,
        requests: CountFamily,
        stage_seconds: DistributionFamily,
        batch_size: DistributionFamily,
    ) -> None:
        self._labels = labels
        self._requests = requests
        self._ok = requests.labels(*labels, "ok")
        self._queue = stage_seconds.labels(*labels, "queue")
        self._input = stage_seconds.labels(*labels, "input")
        self._compute = stage_seconds.labels(*labels, "compute")
        self._output = stage_seconds.labels(*labels, "output")
        self._batch_size = batch_size.labels(*labels)

    def succeeded(self, queue_s: float, times: StageTimes) -> None:
        """Counts a request that was answered, with the computation that it was part of."""
        self._ok.inc()
        self._queue.observe(queue_s)
        self._input.observe(times.input_s)
        self._compute.observe(times.compute_s)
        self._output.observe(times.output_s)

    def failed(self, outcome: str) -> None:
        """Counts a request that was refused or given up."""
        self._requests.labels(*self._labels, outcome).inc()

    def executed(self, samples: int) -> None:
        """Counts one computation, of the samples of one request or of several."""
        self._batch_size.observe(samples)
