"""What jobs tell the metrics."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen_service.metrics import Metrics
from smidgen_service.store.records import ConvertResult, JobEvent, JobKind, JobRecord, JobState
from smidgen_service.store.tenancy import metric_label

_MICRO = 1e-6


class JobGauges:
    """Keeps the metrics of jobs and training up to date."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        for kind in JobKind:
            for state in (state for state in JobState if state.is_at_rest):
                metrics.job_seconds.labels(kind.value, state.value)

    def counted(self, counts: Mapping[tuple[JobKind, JobState], int]) -> None:
        """Takes the number of jobs by kind and state."""
        for (kind, state), count in counts.items():
            self._metrics.jobs.labels(kind.value, state.value).set(count)

    def ended(self, job: JobRecord) -> None:
        """Takes a job that has ended or was interrupted."""
        if job.start_time is not None and job.end_time is not None:
            # A clock that was put back meanwhile must not make it negative.
            seconds = max(job.end_time - job.start_time, 0) * _MICRO
            self._metrics.job_seconds.labels(job.kind.value, job.state.value).observe(seconds)
        if isinstance(job.result, ConvertResult):
            labels = (metric_label(job.tenant, job.model_id), str(job.result.version))
            self._metrics.artifact_bytes.labels(*labels).set(job.result.size_bytes)

    def trained(self, event: JobEvent, *, steps: int, samples: int, seconds: float) -> None:
        """Takes a progress event of training.

        Args:
            event: The event.
            steps: Optimizer steps since the event before.
            samples: Samples of those steps.
            seconds: Time of those steps.
        """
        metrics = self._metrics
        metrics.train_steps.inc(steps)
        metrics.train_samples.inc(samples)
        if steps > 0:
            metrics.train_step_seconds.observe(seconds / steps)
        if event.task_loss is not None:
            metrics.train_loss.labels("task").set(event.task_loss)
        if event.quantization_loss is not None:
            metrics.train_loss.labels("quantization").set(event.quantization_loss)
        if event.accuracy is not None:
            metrics.train_accuracy.set(event.accuracy)
