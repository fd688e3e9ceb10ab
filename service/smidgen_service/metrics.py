"""All metrics of the server: one table, and the registry made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.registry import Collector

from smidgen.health.findings import TensorFindings
from smidgen_service.health_windows import HealthRatios, HealthWindows, RatioSpec
from smidgen_service.inference_series import VersionSeries
from smidgen_service.series import CountFamily, DistributionFamily, Family, LevelFamily
from smidgen_service.statistics import VersionStatistics

AnyFamily = Family[Any]
F = TypeVar("F", bound=AnyFamily)
C = TypeVar("C", bound=Collector)

RPC_LABELS = ("grpc_type", "grpc_service", "grpc_method")
LAYER_LABELS = ("model", "version", "layer")
"""Layers are at most nine of a version, by their place and name."""
RPC_BUCKETS = (
    *(0.0001, 0.0003, 0.0006, 0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.02, 0.03, 0.05, 0.08),
    *(0.13, 0.2, 0.3, 0.5, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
)
STAGE_BUCKETS = (
    *(0.0001, 0.0003, 0.001, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
BATCH_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
JOB_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
DROP_BUCKETS = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
DECIBEL_BUCKETS = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0)
RATIO_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0)
AUTH_FAILURES = (
    "CREDENTIALS_MISSING",
    "CREDENTIALS_INVALID",
    "TOKEN_EXPIRED",
    "ROLE_MISSING",
)
"""Reasons for which calls are not let in."""


class Kind(StrEnum):
    """What a metric is to Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One row of the table of metrics.

    Attributes:
        kind: What it is; of a name that no counter may have, unknown.
        documentation: What it counts or measures.
        labels: Names of its labels; their values are bounded.
        buckets: Upper ends of a histogram's buckets.
    """

    kind: Kind
    documentation: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


TABLE: dict[str, MetricSpec] = {
    "grpc_server_started_total": MetricSpec(Kind.COUNTER, "RPCs started.", RPC_LABELS),
    "grpc_server_handled_total": MetricSpec(
        Kind.COUNTER, "RPCs ended, by status code.", (*RPC_LABELS, "grpc_code")
    ),
    "grpc_server_msg_received_total": MetricSpec(Kind.COUNTER, "Messages received.", RPC_LABELS),
    "grpc_server_msg_sent_total": MetricSpec(Kind.COUNTER, "Messages sent.", RPC_LABELS),
    "grpc_server_handling_seconds": MetricSpec(
        Kind.HISTOGRAM, "Time from an RPC's start to its end.", RPC_LABELS, RPC_BUCKETS
    ),
    "smidgen_inference_requests_total": MetricSpec(
        Kind.COUNTER,
        "Inference requests, by outcome: ok, rejected, cancelled, deadline, invalid, error. Those "
        "that a full server refuses before it reads their message are in no model's, and in "
        "smidgen_admission_rejected_total.",
        ("model", "version", "outcome"),
    ),
    "smidgen_inference_stage_seconds": MetricSpec(
        Kind.HISTOGRAM,
        "Time of an inference in a stage: queue, input, compute, output.",
        ("model", "version", "stage"),
        STAGE_BUCKETS,
    ),
    "smidgen_inference_batch_size": MetricSpec(
        Kind.HISTOGRAM, "Samples of an inference.", ("model", "version"), BATCH_BUCKETS
    ),
    "smidgen_pending_requests": MetricSpec(
        Kind.GAUGE,
        "Inferences that wait for their turn, or for their version to be loaded.",
        ("model", "version"),
    ),
    "smidgen_quantization_sampled_total": MetricSpec(
        Kind.COUNTER,
        "Inferences that were computed once more in float, with the weights of the version.",
        ("model", "version"),
    ),
    "smidgen_quantization_compared_total": MetricSpec(
        Kind.COUNTER,
        "Those whose answer was compared; requests for the greatest values alone are not.",
        ("model", "version"),
    ),
    "smidgen_quantization_disagreement_total": MetricSpec(
        Kind.COUNTER,
        "Those whose answer says something else: another class, or an error above a tenth.",
        ("model", "version"),
    ),
    "smidgen_quantization_drift_ratio": MetricSpec(
        Kind.GAUGE,
        "Distance of a layer's values from those of calibration, 0 to 1, over the last minutes.",
        LAYER_LABELS,
    ),
    "smidgen_quantization_clipped_ratio": MetricSpec(
        Kind.GAUGE,
        "Share of a layer's values beyond its quantized range, 0 to 1, over the last minutes.",
        LAYER_LABELS,
    ),
    "smidgen_quantization_calibration_clipped_ratio": MetricSpec(
        Kind.GAUGE, "Share of the values of calibration beyond that range.", LAYER_LABELS
    ),
    "smidgen_queue_depth": MetricSpec(Kind.GAUGE, "Inferences that wait for their turn."),
    "smidgen_inflight_requests": MetricSpec(Kind.GAUGE, "Inferences that are being computed."),
    "smidgen_queue_oldest_timestamp_seconds": MetricSpec(
        Kind.GAUGE, "Since when the inference waits that waits for longest; 0 where none does."
    ),
    "smidgen_queue_limit": MetricSpec(Kind.GAUGE, "Most inferences that may wait."),
    "smidgen_inflight_limit": MetricSpec(Kind.GAUGE, "Most inferences computed at a time."),
    "smidgen_admission_rejected_total": MetricSpec(
        Kind.COUNTER,
        "Calls refused because there are too many: queue_full, queue_timeout, deadline, memory, "
        "tenant_quota, calls, starting, draining.",
        ("reason",),
    ),
    "smidgen_event_loop_lag_seconds": MetricSpec(
        Kind.HISTOGRAM, "By how much the event loop is late, ten times a second.", (), LAG_BUCKETS
    ),
    "smidgen_loaded_engines": MetricSpec(Kind.GAUGE, "Converted versions ready in memory."),
    "smidgen_engine_bytes": MetricSpec(
        Kind.GAUGE, "Memory of the versions that are ready, for weights and plans."
    ),
    "smidgen_engine_shared_bytes": MetricSpec(
        Kind.GAUGE,
        "Those bytes of smidgen_engine_bytes that several processes count and that are there once.",
    ),
    "smidgen_model_memory_bytes": MetricSpec(
        Kind.GAUGE,
        "Memory of a model's versions that are ready, once they had requests; in each process.",
        ("model",),
    ),
    "smidgen_engine_loads_total": MetricSpec(Kind.COUNTER, "Versions loaded into memory."),
    "smidgen_engine_evictions_total": MetricSpec(
        Kind.COUNTER,
        "Versions that gave way to others, for the limit of memory or of count.",
        ("reason",),
    ),
    "smidgen_processes": MetricSpec(Kind.GAUGE, "Processes that answer inferences."),
    "smidgen_process_restarts_total": MetricSpec(
        Kind.COUNTER, "Processes started in place of some that have died."
    ),
    "smidgen_jobs": MetricSpec(Kind.GAUGE, "Jobs stored, by state.", ("kind", "state")),
    "smidgen_job_duration_seconds": MetricSpec(
        Kind.HISTOGRAM, "Time from a job's start to its end.", ("kind", "state"), JOB_BUCKETS
    ),
    "smidgen_job_attempts_total": MetricSpec(
        Kind.COUNTER,
        "Attempts of jobs, by outcome: succeeded, failed, cancelled, interrupted, or lost, after "
        "which the job is queued again.",
        ("kind", "outcome"),
    ),
    "smidgen_job_lease_expired_total": MetricSpec(
        Kind.COUNTER, "Attempts whose worker was not heard of for too long.", ("kind",)
    ),
    "smidgen_job_oldest_queued_timestamp_seconds": MetricSpec(
        Kind.GAUGE, "When the oldest queued job was made; 0 where none is.", ("kind",)
    ),
    "smidgen_job_checkpoint_timestamp_seconds": MetricSpec(
        Kind.GAUGE,
        "When the newest checkpoint of a running training was made, or the training begun: the "
        "oldest of several; 0 where none runs.",
        ("kind",),
    ),
    "smidgen_job_checkpoint_interval_seconds": MetricSpec(
        Kind.GAUGE, "Time between two checkpoints of a training."
    ),
    "smidgen_accuracy_drop_ratio": MetricSpec(
        Kind.HISTOGRAM,
        "Accuracy that conversions lost, 0 to 1, by method: qat, post_training.",
        ("method",),
        DROP_BUCKETS,
    ),
    "smidgen_sqnr_decibels": MetricSpec(
        Kind.HISTOGRAM,
        "Signal to quantization noise of what conversions made, by method.",
        ("method",),
        DECIBEL_BUCKETS,
    ),
    "smidgen_artifact_size_ratio": MetricSpec(
        Kind.HISTOGRAM,
        "Bytes of artifacts for each byte of the float models' parameters, by method.",
        ("method",),
        RATIO_BUCKETS,
    ),
    "smidgen_latency_ratio": MetricSpec(
        Kind.HISTOGRAM,
        "Time of converted models for each second of the float models, where measured, by method.",
        ("method",),
        RATIO_BUCKETS,
    ),
    "smidgen_train_loss": MetricSpec(
        Kind.GAUGE, "Newest loss of training: task or quantization.", ("kind",)
    ),
    "smidgen_train_accuracy": MetricSpec(
        Kind.GAUGE, "Newest accuracy of training on the evaluation split, 0 to 1."
    ),
    "smidgen_train_steps_total": MetricSpec(Kind.COUNTER, "Optimizer steps."),
    "smidgen_train_samples_total": MetricSpec(Kind.COUNTER, "Samples trained on."),
    "smidgen_train_step_seconds": MetricSpec(
        Kind.HISTOGRAM, "Time of an optimizer step.", (), STAGE_BUCKETS
    ),
    "smidgen_upload_rejected_total": MetricSpec(
        Kind.COUNTER, "Uploads refused, by format and reason.", ("format", "reason")
    ),
    "smidgen_auth_failures_total": MetricSpec(
        Kind.COUNTER, "Calls refused for their credentials or roles, by reason.", ("reason",)
    ),
    "smidgen_artifact_bytes": MetricSpec(
        Kind.GAUGE, "Size of a converted version's artifact file.", ("model", "version")
    ),
    "smidgen_store_op_seconds": MetricSpec(
        Kind.HISTOGRAM,
        "Time of what the store does: read or write rows, verify or adopt files.",
        ("op",),
        STAGE_BUCKETS,
    ),
    "smidgen_store_errors_total": MetricSpec(
        Kind.COUNTER,
        "Errors of the disk or what is on it: full, fault, missing, hash_mismatch, "
        "database_damaged.",
        ("op", "kind"),
    ),
    "smidgen_disk_free_bytes": MetricSpec(
        Kind.GAUGE, "What the server may still write to the file system of its data directory."
    ),
    "smidgen_disk_size_bytes": MetricSpec(Kind.GAUGE, "Size of that file system."),
    "smidgen_memory_limit_bytes": MetricSpec(
        Kind.GAUGE, "Memory of the machine, or of the container if that has less."
    ),
    "smidgen_kernel_info": MetricSpec(
        Kind.GAUGE, "1 for the instruction set and threads of the engine.", ("isa", "threads")
    ),
    "smidgen_build_info": MetricSpec(Kind.GAUGE, "1 for the version of the server.", ("version",)),
}


def _ratio(name: str, ratio: Callable[[TensorFindings], float]) -> RatioSpec:
    return RatioSpec(TABLE[name].documentation, TABLE[name].labels, ratio)


_RATIOS = {
    name: _ratio(name, ratio)
    for name, ratio in (
        ("smidgen_quantization_drift_ratio", lambda found: found.drift),
        ("smidgen_quantization_clipped_ratio", lambda found: found.clipped_ratio),
        (
            "smidgen_quantization_calibration_clipped_ratio",
            lambda found: found.watched.clipped,
        ),
    )
}


class Metrics:
    """The metrics of one process.

    Attributes:
        registry: All of them, for looking at single ones.
        families: Those that write their lines themselves.
        library: The others, which prometheus_client writes.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client's
        self.registry = CollectorRegistry()
        self.library = CollectorRegistry()
        self.families: list[AnyFamily] = []
        self._add(ProcessCollector(registry=None))
        self._add(PlatformCollector(registry=None))
        self._add(GCCollector(registry=CollectorRegistry()))
        self._make_calls()
        self._make_inference()
        self._make_jobs()
        self._make_server()
        self._series: dict[tuple[str, int], VersionSeries] = {}
        self._models: dict[str, str] = {}
        self.inference_stage_seconds.before_reading(self._take_in)
        self.inference_batch_size.before_reading(self._take_in)
        self._on_forgetting: list[Callable[[str], None]] = []
        self._initialise()

    def initialise_rpcs(self, methods: Iterable[tuple[str, str, str]]) -> None:
        """Shows every RPC, given as (type, service, method), with zero calls before the first."""
        for labels in methods:
            self.rpc_started.labels(*labels)
            self.rpc_received.labels(*labels)
            self.rpc_sent.labels(*labels)
            self.rpc_seconds.labels(*labels)
            self.rpc_handled.labels(*labels, "OK")

    def of_version(self, label: str, version: int) -> VersionSeries:
        """Returns the series of a version's inferences, by what stands for its model in metrics."""
        found = self._series.get((label, version))
        if found is None:
            found = VersionSeries(
                (label, str(version)),
                requests=self.inference_requests,
                stage_seconds=self.inference_stage_seconds,
                batch_size=self.inference_batch_size,
                pending=self.pending_requests,
            )
            self._series[label, version] = found
        return found

    def inference_statistics(self) -> dict[tuple[str, int], VersionStatistics]:
        """Returns what was counted of inferences, by what stands for the model, and version.

        Any thread may ask.

        Versions without any request are not in it.
        """
        return {key: series.statistics() for key, series in list(self._series.items())}

    async def counted(self) -> dict[tuple[str, int], VersionStatistics]:
        """Returns what `inference_statistics` returns."""
        return self.inference_statistics()

    def note_artifact(self, sha256: str, label: str) -> None:
        """Takes note whose an artifact is, by what stands for its model in metrics.

        Of several models with the same one, that which was asked for last.
        """
        self._models[sha256] = label

    def model_of(self, sha256: str) -> str | None:
        """Returns whose an artifact is; None where nobody has asked for it yet."""
        return self._models.get(sha256)

    def forget_model(self, label: str) -> None:
        """Drops the series of a deleted model, by what stands for it in metrics."""
        for key in [key for key in self._series if key[0] == label]:
            del self._series[key]
        self._models = {sha256: one for sha256, one in self._models.items() if one != label}
        by_label = {"model": label}
        self.inference_requests.remove_by_labels(by_label)
        self.inference_stage_seconds.remove_by_labels(by_label)
        self.inference_batch_size.remove_by_labels(by_label)
        self.pending_requests.remove_by_labels(by_label)
        self.artifact_bytes.remove_by_labels(by_label)
        for counts in (self.health_sampled, self.health_compared, self.health_disagreed):
            counts.remove_by_labels(by_label)
        self.health_windows.forget(label)
        for tell in self._on_forgetting:
            tell(label)

    def on_forgetting(self, tell: Callable[[str], None]) -> None:
        """Has a function told of each model that is forgotten."""
        self._on_forgetting.append(tell)

    def _take_in(self) -> None:
        for series in list(self._series.values()):
            series.take_in()

    def _initialise(self) -> None:
        for reason in AUTH_FAILURES:
            self.auth_failures.labels(reason)
        for reason in ("memory", "count"):
            self.engine_evictions.labels(reason)
        self.train_loss.labels("task")
        self.train_loss.labels("quantization")
        self.build_info.labels(package_version()).set(1)
        self.processes.set(1)

    def _make_calls(self) -> None:
        self.rpc_started = self._counts("grpc_server_started_total")
        self.rpc_handled = self._counts("grpc_server_handled_total")
        self.rpc_received = self._counts("grpc_server_msg_received_total")
        self.rpc_sent = self._counts("grpc_server_msg_sent_total")
        self.rpc_seconds = self._distributions("grpc_server_handling_seconds")

    def _make_inference(self) -> None:
        self.inference_requests = self._counts("smidgen_inference_requests_total")
        self.inference_stage_seconds = self._distributions("smidgen_inference_stage_seconds")
        self.inference_batch_size = self._distributions("smidgen_inference_batch_size")
        self.pending_requests = self._levels("smidgen_pending_requests")
        self.health_sampled = self._counts("smidgen_quantization_sampled_total")
        self.health_compared = self._counts("smidgen_quantization_compared_total")
        self.health_disagreed = self._counts("smidgen_quantization_disagreement_total")
        self.health_windows = HealthWindows()
        self.health_ratios = self._add(HealthRatios(_RATIOS, self.health_windows.recent))
        self.queue_depth = self._gauge("smidgen_queue_depth")
        self.inflight_requests = self._gauge("smidgen_inflight_requests")
        self.queue_oldest = self._gauge("smidgen_queue_oldest_timestamp_seconds")
        self.queue_limit = self._gauge("smidgen_queue_limit")
        self.inflight_limit = self._gauge("smidgen_inflight_limit")
        self.admission_rejected = self._counter("smidgen_admission_rejected_total")
        self.model_memory_bytes = self._levels("smidgen_model_memory_bytes")
        self.loaded_engines = self._gauge("smidgen_loaded_engines")
        self.engine_bytes = self._gauge("smidgen_engine_bytes")
        self.engine_shared_bytes = self._gauge("smidgen_engine_shared_bytes")
        self.engine_loads = self._counter("smidgen_engine_loads_total")
        self.engine_evictions = self._counter("smidgen_engine_evictions_total")

    def _make_jobs(self) -> None:
        self.job_attempts = self._counter("smidgen_job_attempts_total")
        self.job_lease_expired = self._counter("smidgen_job_lease_expired_total")
        self.job_oldest_queued = self._gauge("smidgen_job_oldest_queued_timestamp_seconds")
        self.job_checkpoint_time = self._gauge("smidgen_job_checkpoint_timestamp_seconds")
        self.job_checkpoint_interval = self._gauge("smidgen_job_checkpoint_interval_seconds")
        self.accuracy_drop = self._histogram("smidgen_accuracy_drop_ratio")
        self.sqnr = self._histogram("smidgen_sqnr_decibels")
        self.artifact_ratio = self._histogram("smidgen_artifact_size_ratio")
        self.latency_ratio = self._histogram("smidgen_latency_ratio")
        self.jobs = self._gauge("smidgen_jobs")
        self.job_seconds = self._histogram("smidgen_job_duration_seconds")
        self.train_loss = self._gauge("smidgen_train_loss")
        self.train_accuracy = self._gauge("smidgen_train_accuracy")
        self.train_steps = self._counter("smidgen_train_steps_total")
        self.train_samples = self._counter("smidgen_train_samples_total")
        self.train_step_seconds = self._histogram("smidgen_train_step_seconds")

    def _make_server(self) -> None:
        self.loop_lag = self._distributions("smidgen_event_loop_lag_seconds")
        self.store_op_seconds = self._histogram("smidgen_store_op_seconds")
        self.store_errors = self._counter("smidgen_store_errors_total")
        self.disk_free_bytes = self._gauge("smidgen_disk_free_bytes")
        self.disk_size_bytes = self._gauge("smidgen_disk_size_bytes")
        self.memory_limit_bytes = self._gauge("smidgen_memory_limit_bytes")
        self.processes = self._gauge("smidgen_processes")
        self.process_restarts = self._counter("smidgen_process_restarts_total")
        self.upload_rejected = self._counter("smidgen_upload_rejected_total")
        self.auth_failures = self._counter("smidgen_auth_failures_total")
        self.artifact_bytes = self._gauge("smidgen_artifact_bytes")
        self.kernel_info = self._gauge("smidgen_kernel_info")
        self.build_info = self._gauge("smidgen_build_info")

    def _counts(self, name: str) -> CountFamily:
        spec = TABLE[name]
        return self._keep(CountFamily(name, spec.documentation, spec.labels))

    def _levels(self, name: str) -> LevelFamily:
        spec = TABLE[name]
        return self._keep(LevelFamily(name, spec.documentation, spec.labels))

    def _distributions(self, name: str) -> DistributionFamily:
        spec = TABLE[name]
        return self._keep(DistributionFamily(name, spec.documentation, spec.labels, spec.buckets))

    def _counter(self, name: str) -> Counter:
        spec = TABLE[name]
        return self._add(Counter(name, spec.documentation, spec.labels, registry=None))

    def _gauge(self, name: str) -> Gauge:
        spec = TABLE[name]
        return self._add(Gauge(name, spec.documentation, spec.labels, registry=None))

    def _histogram(self, name: str) -> Histogram:
        spec = TABLE[name]
        return self._add(
            Histogram(name, spec.documentation, spec.labels, buckets=spec.buckets, registry=None)
        )

    def _keep(self, family: F) -> F:
        self.families.append(family)
        self.registry.register(family)
        return family

    def _add(self, collector: C) -> C:
        self.library.register(collector)
        self.registry.register(collector)
        return collector


def package_version() -> str:
    """Returns the version of the installed package, `unknown` in a source tree."""
    try:
        return version("smidgen")
    except PackageNotFoundError:
        return "unknown"
