"""Metrics under Triton's names, made of the same counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from smidgen_service.exposition import Exposition
from smidgen_service.machine import CpuUse, memory
from smidgen_service.metrics import Metrics
from smidgen_service.series import Written
from smidgen_service.settings import Settings
from smidgen_service.statistics import StageTimes
from smidgen_service.triton_metrics import TRITON_TABLE, TritonNames, written

TIMES = StageTimes(input_s=0.001, compute_s=0.01, output_s=0.002)
LABELS = {"model": "m", "version": "1"}


class SteadyCpu(CpuUse):
    """CPUs that are as busy as always."""

    def ratio(self) -> float:
        return 0.25


def used_metrics() -> Metrics:
    metrics = Metrics()
    series = metrics.of_version("m", 1)
    series.executed(5, TIMES)
    for samples in (2, 3):
        series.succeeded(samples, 0.5, TIMES, 0.75)
    for outcome in ("rejected", "deadline", "cancelled", "error", "invalid", "invalid"):
        series.failed(outcome, 0.1)
    series.pending().__enter__()
    metrics.of_version('quoted "x"', 2)
    return metrics


def names_of(metrics: Metrics) -> TritonNames:
    return TritonNames(metrics.inference_statistics(), metrics.families, SteadyCpu())


def value(names: TritonNames, name: str, **labels: str) -> float:
    return next(
        sample.value
        for metric in names.collect()
        for sample in metric.samples
        if sample.name == name and sample.labels == labels
    )


def test_values_are_those_of_the_statistics() -> None:
    names = names_of(used_metrics())
    expected = {
        "nv_inference_request_success": 2,
        "nv_inference_count": 5,
        "nv_inference_exec_count": 1,
        "nv_inference_request_duration_us": 1_500_000,
        "nv_inference_queue_duration_us": 1_000_000,
        "nv_inference_compute_input_duration_us": 2_000,
        "nv_inference_compute_infer_duration_us": 20_000,
        "nv_inference_compute_output_duration_us": 4_000,
        "nv_inference_pending_request_count": 1,
    }
    assert {name: value(names, name, **LABELS) for name in expected} == expected
    failures = {"REJECTED": 2, "CANCELED": 1, "BACKEND": 1, "OTHER": 2}
    failure = "nv_inference_request_failure"
    found = {reason: value(names, failure, **LABELS, reason=reason) for reason in failures}
    assert found == failures
    assert value(names, "nv_cpu_utilization") == 0.25
    total, used = (value(names, f"nv_cpu_memory_{part}_bytes") for part in ("total", "used"))
    assert total > used > 0


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_lines_are_those_of_the_library(accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen_service.triton_metrics.memory", lambda: memory(Path("/absent")))
    names = names_of(used_metrics())
    registry = CollectorRegistry()
    registry.register(names)
    encode, content_type = choose_encoder(accept)
    text = Exposition(CollectorRegistry(), lambda: [names]).write(accept)
    assert text == (content_type, encode(registry))
    kind = b"unknown" if accept else b"untyped"
    assert b"# TYPE nv_inference_count %s\n" % kind in text[1]
    assert b'nv_inference_count{model="m",version="1"} 5.0\n' in text[1]


@pytest.mark.parametrize(("compat", "count"), [("triton", len(TRITON_TABLE)), ("none", 0)])
def test_they_can_be_left_away(compat: str, count: int) -> None:
    metrics = Metrics()
    settings = Settings(_env_file=None, metrics_compat=compat)

    def families() -> Sequence[Written]:
        return written(settings, lambda: metrics.families, metrics.inference_statistics)()

    names = [metric.name for family in families() for metric in family.describe()]
    assert len([name for name in names if name.startswith("nv_")]) == count


def test_cpu_use_is_that_since_it_was_asked_for_before(tmp_path: Path) -> None:
    def tell(busy: int, idle: int) -> None:
        # user nice system idle iowait irq softirq steal guest guest_nice
        (tmp_path / "stat").write_text(f"cpu {busy} 0 0 {idle} 10 0 0 0 {busy} 0\ncpu0 1 2\n")

    use = CpuUse(tmp_path)
    assert use.ratio() == 0.0  # nothing is told
    tell(30, 60)
    assert use.ratio() == 0.3
    assert use.ratio() == 0.3  # no time has passed
    tell(120, 70)
    assert use.ratio() == 0.9


def test_memory_is_that_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemFree: 5 kB\nMemAvailable: 40 kB\n")
    found = memory(tmp_path)
    assert (found.total_bytes, found.used_bytes) == (102_400, 61_440)
    assert memory(tmp_path / "absent").used_bytes == 0
    assert memory(tmp_path / "absent").total_bytes > 0
