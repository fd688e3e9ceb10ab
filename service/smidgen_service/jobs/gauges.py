"""What jobs tell the metrics."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Histogram

from smidgen.report import QuantizationReport
from smidgen_service.jobs.checkpoints import Checkpoints
from smidgen_service.metrics import Metrics
from smidgen_service.store.records import ConvertResult, JobEvent, JobKind, JobRecord, JobState
from smidgen_service.store.tenancy import metric_label

LOST = "lost"
"""What became of an attempt after which the job was queued again."""
QAT, POST_TRAINING = "qat", "post_training"
"""How a version was quantized."""
_MICRO = 1e-6


class JobGauges:
    """Keeps the metrics of jobs and training up to date."""

    def __init__(self, metrics: Metrics, checkpoints: Checkpoints) -> None:
        self._metrics = metrics
        self._checkpoints = checkpoints
        for kind in JobKind:
            for state in (state for state in JobState if state.is_at_rest):
                metrics.job_seconds.labels(kind.value, state.value)
                metrics.job_attempts.labels(kind.value, state.value)
            metrics.job_attempts.labels(kind.value, LOST)
            metrics.job_lease_expired.labels(kind.value)
        for method in (QAT, POST_TRAINING):
            for family in _of_quality(metrics):
                family.labels(method)
        training = metrics.job_checkpoint_time.labels(JobKind.TRAIN_QAT.value)
        training.set_function(checkpoints.oldest_time_s)
        metrics.job_checkpoint_interval.set(checkpoints.interval_s)

    def counted(
        self, counts: Mapping[tuple[JobKind, JobState], int], queued: Mapping[JobKind, int]
    ) -> None:
        """Takes the number of jobs by kind and state, and when the oldest queued ones were made."""
        for (kind, state), count in counts.items():
            self._metrics.jobs.labels(kind.value, state.value).set(count)
        for kind, time_us in queued.items():
            self._metrics.job_oldest_queued.labels(kind.value).set(time_us * _MICRO)

    def attempt_began(self, job: JobRecord) -> None:
        """Takes an attempt that begins."""
        if job.kind is JobKind.TRAIN_QAT:
            self._checkpoints.began(job.id)

    def attempt_is_over(self, job: JobRecord) -> None:
        """Takes an attempt that is over, whatever came of it."""
        self._checkpoints.ended(job.id)

    def attempt_ended(self, job: JobRecord) -> None:
        """Takes a job as it is after an attempt; one that is not at rest has lost it."""
        outcome = job.state.value if job.state.is_at_rest else LOST
        self._metrics.job_attempts.labels(job.kind.value, outcome).inc()

    def lease_expired(self, job: JobRecord) -> None:
        """Takes a job whose worker was not heard of for too long."""
        self._metrics.job_lease_expired.labels(job.kind.value).inc()

    def ended(self, job: JobRecord) -> None:
        """Takes a job that has ended or was interrupted."""
        if job.start_time is not None and job.end_time is not None:
            # A clock that was put back meanwhile must not make it negative.
            seconds = max(job.end_time - job.start_time, 0) * _MICRO
            self._metrics.job_seconds.labels(job.kind.value, job.state.value).observe(seconds)
        if isinstance(job.result, ConvertResult):
            labels = (metric_label(job.tenant, job.model_id), str(job.result.version))
            self._metrics.artifact_bytes.labels(*labels).set(job.result.size_bytes)
            method = POST_TRAINING if job.train_job_id is None else QAT
            self._converted(method, job.result.report)

    def _converted(self, method: str, report: QuantizationReport) -> None:
        """Takes what a conversion cost and brought, as far as it was measured."""
        metrics, gate, latency = self._metrics, report.gate, report.latency
        drop = None if gate is None else gate.drop
        if report.float_accuracy is not None and report.quantized_accuracy is not None:
            drop = report.float_accuracy - report.quantized_accuracy
        if drop is not None:
            metrics.accuracy_drop.labels(method).observe(max(drop, 0.0))
        if gate is not None and gate.sqnr_db is not None:
            metrics.sqnr.labels(method).observe(gate.sqnr_db)
        if report.float_bytes:
            ratio = report.artifact_bytes / report.float_bytes
            metrics.artifact_ratio.labels(method).observe(ratio)
        if latency is not None and latency.float_us:
            ratio = latency.quantized_us / latency.float_us
            metrics.latency_ratio.labels(method).observe(ratio)

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


def _of_quality(metrics: Metrics) -> tuple[Histogram, ...]:
    return metrics.accuracy_drop, metrics.sqnr, metrics.artifact_ratio, metrics.latency_ratio
