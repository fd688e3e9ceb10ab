"""What metrics show of jobs."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from smidgen.measured import LatencyReport
from smidgen.report import GateReport, QuantizationReport
from smidgen_service.jobs.checkpoints import CHECKPOINT_NAME, Checkpoints
from smidgen_service.jobs.gauges import JobGauges
from smidgen_service.metrics import Metrics
from smidgen_service.store.records import ConvertResult, JobKind, JobRecord, JobState

JOB = JobRecord("one", JobKind.CONVERT, "m", "c", create_time=1, tenant="default")
LATENCY = LatencyReport(250.0, 1000.0, 5.0, (), batch=1, rounds=1, threads=1, isa="avx2")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def gauges(metrics: Metrics, tmp_path: Path) -> JobGauges:
    return JobGauges(metrics, Checkpoints(tmp_path, 60.0))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (JobState.QUEUED, "lost"),
        (JobState.RUNNING, "lost"),
        (JobState.SUCCEEDED, "succeeded"),
        (JobState.INTERRUPTED, "interrupted"),
    ],
)
def test_attempts_are_counted_by_what_became_of_the_job(
    metrics: Metrics, gauges: JobGauges, state: JobState, outcome: str
) -> None:
    attempts = "smidgen_job_attempts_total"
    assert value(metrics, attempts, kind="convert", outcome=outcome) == 0
    gauges.attempt_ended(replace(JOB, state=state))
    assert value(metrics, attempts, kind="convert", outcome=outcome) == 1
    gauges.lease_expired(JOB)
    assert value(metrics, "smidgen_job_lease_expired_total", kind="convert") == 1


def test_quality_is_told_as_far_as_it_was_measured(metrics: Metrics, gauges: JobGauges) -> None:
    def convert(report: QuantizationReport, train_job: str | None = None) -> None:
        result = ConvertResult(1, "a" * 64, 10, report)
        ended = replace(JOB, state=JobState.SUCCEEDED, result=result, train_job_id=train_job)
        gauges.ended(ended)

    convert(QuantizationReport((), float_bytes=0))
    gate = GateReport(100, drop=0.25, sqnr_db=31.0)
    full = QuantizationReport((), float_bytes=400, artifact_bytes=100, gate=gate, latency=LATENCY)
    convert(full, "training")
    # The accuracies of both models say more than what a gate compared; a gain is no loss.
    convert(replace(full, float_accuracy=0.5, quantized_accuracy=0.75), "training")
    for name, qat in {
        "accuracy_drop_ratio": 0.25,
        "sqnr_decibels": 62.0,
        "artifact_size_ratio": 0.5,
        "latency_ratio": 0.5,
    }.items():
        assert value(metrics, f"smidgen_{name}_count", method="post_training") == 0
        assert value(metrics, f"smidgen_{name}_count", method="qat") == 2
        assert value(metrics, f"smidgen_{name}_sum", method="qat") == qat


def test_the_oldest_checkpoint_of_running_trainings_is_shown(
    metrics: Metrics, gauges: JobGauges, tmp_path: Path
) -> None:
    def shown() -> float:
        return value(metrics, "smidgen_job_checkpoint_timestamp_seconds", kind="train_qat") or 0.0

    training = replace(JOB, kind=JobKind.TRAIN_QAT)
    gauges.attempt_began(JOB)  # conversions have none
    assert shown() == 0.0
    before_s = time.time()
    gauges.attempt_began(training)
    assert before_s <= shown() <= time.time()
    checkpoint = tmp_path / training.id / CHECKPOINT_NAME
    checkpoint.parent.mkdir()
    checkpoint.touch()
    os.utime(checkpoint, (before_s + 100, before_s + 100))
    assert shown() == pytest.approx(before_s + 100)
    gauges.attempt_began(replace(training, id="two"))
    assert shown() < before_s + 50
    gauges.attempt_is_over(replace(training, id="two"))
    # One of an earlier attempt, older than the present one, tells nothing of it.
    os.utime(checkpoint, (5, 5))
    assert shown() >= before_s
    gauges.attempt_is_over(training)
    assert shown() == 0.0
    assert value(metrics, "smidgen_job_checkpoint_interval_seconds") == 60.0


def test_the_oldest_queued_job_is_shown(metrics: Metrics, gauges: JobGauges) -> None:
    gauges.counted({}, {JobKind.CONVERT: 5_000_000, JobKind.TRAIN_QAT: 0})
    name = "smidgen_job_oldest_queued_timestamp_seconds"
    assert value(metrics, name, kind="convert") == 5.0
    assert value(metrics, name, kind="train_qat") == 0.0
