"""The names that Triton has for metrics, so that dashboards made for it show this server too.

They are made of the counts that the server's own metrics show. Those that grow do not end in
_total, as Triton's do not, so that their type is unknown: a counter must.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from prometheus_client.metrics_core import Metric

from smidgen_service.machine import CpuUse, memory
from smidgen_service.metrics import AnyFamily, Kind, MetricSpec
from smidgen_service.series import LevelFamily, Written, go_text, head_text, label_text, number_text
from smidgen_service.settings import Settings
from smidgen_service.statistics import VersionKey, VersionStatistics

_VERSION_LABELS = ("model", "version")
REASONS: Mapping[str, str] = {
    "rejected": "REJECTED",
    "deadline": "REJECTED",
    "cancelled": "CANCELED",
    "error": "BACKEND",
    "invalid": "OTHER",
}
"""What Triton calls the outcomes of requests that failed."""
_PENDING = "smidgen_pending_requests"
_FAILURES = "nv_inference_request_failure"

TRITON_TABLE: dict[str, MetricSpec] = {
    "nv_inference_request_success": MetricSpec(
        Kind.UNKNOWN, "Inference requests that succeeded.", _VERSION_LABELS
    ),
    _FAILURES: MetricSpec(
        Kind.UNKNOWN,
        "Inference requests that failed: REJECTED by the queue or for the deadline, CANCELED by "
        "the client, BACKEND for a fault, OTHER for what the request has.",
        (*_VERSION_LABELS, "reason"),
    ),
    "nv_inference_count": MetricSpec(
        Kind.UNKNOWN, "Samples of requests that succeeded.", _VERSION_LABELS
    ),
    "nv_inference_exec_count": MetricSpec(
        Kind.UNKNOWN, "Computations, each for one request or several.", _VERSION_LABELS
    ),
    "nv_inference_request_duration_us": MetricSpec(
        Kind.UNKNOWN, "Microseconds from arrival to answer, of all together.", _VERSION_LABELS
    ),
    "nv_inference_queue_duration_us": MetricSpec(
        Kind.UNKNOWN, "Microseconds of waiting.", _VERSION_LABELS
    ),
    "nv_inference_compute_input_duration_us": MetricSpec(
        Kind.UNKNOWN, "Microseconds of reading inputs.", _VERSION_LABELS
    ),
    "nv_inference_compute_infer_duration_us": MetricSpec(
        Kind.UNKNOWN, "Microseconds of computing.", _VERSION_LABELS
    ),
    "nv_inference_compute_output_duration_us": MetricSpec(
        Kind.UNKNOWN, "Microseconds of making outputs.", _VERSION_LABELS
    ),
    "nv_inference_pending_request_count": MetricSpec(
        Kind.GAUGE, "Inference requests that wait.", _VERSION_LABELS
    ),
    "nv_cpu_utilization": MetricSpec(
        Kind.GAUGE, "Part of all CPUs' time that was used since the scrape before, 0 to 1."
    ),
    "nv_cpu_memory_total_bytes": MetricSpec(Kind.GAUGE, "Memory of the machine."),
    "nv_cpu_memory_used_bytes": MetricSpec(Kind.GAUGE, "Memory of the machine that is used."),
}

Labels = tuple[tuple[str, str], ...]
L = TypeVar("L")


class TritonNames:
    """The metrics under Triton's names, as of one moment.

    Args:
        statistics: What was counted of inferences.
        families: The server's own metrics, of the same processes.
        cpu: Knows how busy the CPUs are.
    """

    def __init__(
        self,
        statistics: Mapping[VersionKey, VersionStatistics],
        families: Iterable[AnyFamily],
        cpu: CpuUse,
    ) -> None:
        self._statistics = statistics
        self._pending = next(
            family.values()
            for family in families
            if isinstance(family, LevelFamily) and family.name == _PENDING
        )
        self._cpu = cpu

    def describe(self) -> Iterator[Metric]:
        """Yields the metrics without their series."""
        for name, spec in TRITON_TABLE.items():
            yield Metric(name, spec.documentation, spec.kind)

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics."""
        rows = self._rows(dict[str, str])
        for metric in self.describe():
            for labels, value in rows[metric.name]:
                metric.add_sample(metric.name, labels, value)
            yield metric

    def write(self, *, is_openmetrics: bool) -> str:
        """Returns their lines of a scrape."""
        parts = []
        for name, rows in self._rows(_braced).items():
            spec = TRITON_TABLE[name]
            parts.append(head_text(name, spec.documentation, spec.kind, is_openmetrics))
            parts += [f"{name}{labels} {_text(value)}\n" for labels, value in rows]
        return "".join(parts)

    def _rows(self, form: Callable[[Labels], L]) -> dict[str, list[tuple[L, float]]]:
        """Returns labels and values of the series by the names of metrics, in the table's order.

        Args:
            form: Returns labels as they are wanted, once for all series that have the same.
        """
        rows: dict[str, list[tuple[L, float]]] = {name: [] for name in TRITON_TABLE}
        for (label, version), entry in self._statistics.items():
            pairs = (("model", label), ("version", str(version)))
            labels = form(pairs)
            for name, value in _growing(entry).items():
                rows[name].append((labels, value))
            for reason, value in _failures(entry).items():
                rows[_FAILURES].append((form((*pairs, ("reason", reason))), value))
            waiting = self._pending.get((label, str(version)), 0)
            rows["nv_inference_pending_request_count"].append((labels, waiting))
        found, none = memory(), form(())
        rows["nv_cpu_utilization"].append((none, self._cpu.ratio()))
        rows["nv_cpu_memory_total_bytes"].append((none, found.total_bytes))
        rows["nv_cpu_memory_used_bytes"].append((none, found.used_bytes))
        return rows


def written(
    settings: Settings,
    families: Callable[[], Sequence[AnyFamily]],
    statistics: Callable[[], Mapping[VersionKey, VersionStatistics]],
) -> Callable[[], Sequence[Written]]:
    """Returns what returns all metrics that write themselves.

    Args:
        settings: Say whether those under Triton's names are among them.
        families: Returns the others.
        statistics: Returns what was counted of inferences.
    """
    if settings.metrics_compat == "none":
        return families
    cpu = CpuUse()

    def with_triton_names() -> Sequence[Written]:
        own = families()
        return [*own, TritonNames(statistics(), own, cpu)]

    return with_triton_names


def _growing(entry: VersionStatistics) -> dict[str, int]:
    return {
        "nv_inference_request_success": entry.success.count,
        "nv_inference_count": entry.inference_count,
        "nv_inference_exec_count": entry.execution_count,
        "nv_inference_request_duration_us": entry.success.ns // 1000,
        "nv_inference_queue_duration_us": entry.queue.ns // 1000,
        "nv_inference_compute_input_duration_us": entry.stages.input.ns // 1000,
        "nv_inference_compute_infer_duration_us": entry.stages.compute.ns // 1000,
        "nv_inference_compute_output_duration_us": entry.stages.output.ns // 1000,
    }


def _failures(entry: VersionStatistics) -> dict[str, int]:
    """Returns the failures by Triton's reasons, zeros included."""
    total = dict.fromkeys(REASONS.values(), 0)
    for outcome, spent in entry.failed.items():
        total[REASONS[outcome]] += spent.count
    return total


@lru_cache(8192)
def _braced(labels: Labels) -> str:
    return f"{{{label_text(labels)}}}" if labels else ""


def _text(value: float) -> str:
    return number_text(value) if isinstance(value, int) else go_text(value)
