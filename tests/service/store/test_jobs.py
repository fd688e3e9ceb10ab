"""Rows of jobs: states, events and recovery."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.progress import Stage
from smidgen.qat.curve import EvaluationPoint, TrainingCurve
from smidgen.report import NodeReport, ParityCertificate, QuantizationReport
from smidgen_service.errors import ConflictError, NotFoundError
from smidgen_service.store import curves, jobs
from smidgen_service.store.database import migrate
from smidgen_service.store.records import (
    ConvertResult,
    JobEvent,
    JobFailure,
    JobKind,
    JobRecord,
    JobState,
    TrainResult,
)


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    migrate(connection)
    yield connection
    connection.close()


def add(tx: sqlite3.Connection, job_id: str, kind: JobKind = JobKind.TRAIN_QAT) -> JobRecord:
    job = JobRecord(
        id=job_id,
        kind=kind,
        model_id="m",
        calibration_id="c",
        create_time=1,
        dataset_id="d",
        config={"epochs": 2, "task_loss": "mse"},
        precision={"default": {"weights": "int4", "group_size": 32}, "overrides": []},
    )
    return jobs.insert(tx, job)


def test_oldest_job_is_claimed_first(tx: sqlite3.Connection) -> None:
    for job_id in ("one", "two"):
        assert add(tx, job_id).state is JobState.QUEUED
    first = jobs.claim(tx, now=2)
    assert first is not None
    assert (first.id, first.state, first.stage) == ("one", JobState.RUNNING, Stage.LOAD)
    assert first.start_time == 2
    assert first.config == {"epochs": 2, "task_loss": "mse"}
    assert first.precision == {"default": {"weights": "int4", "group_size": 32}, "overrides": []}
    second = jobs.claim(tx, now=3)
    assert second is not None
    assert second.id == "two"
    assert jobs.claim(tx, now=4) is None


def test_every_change_is_an_event(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    jobs.claim(tx, now=2)
    event = JobEvent(JobState.RUNNING, stage=Stage.QAT, progress=0.5, epoch=1, task_loss=0.25)
    jobs.append(tx, "one", event, now=3)
    result = TrainResult(None, 0.5, 0.1, 0.2, 1, 10)
    jobs.succeed(tx, "one", result, now=4, result_sha256="f" * 64)

    job = jobs.get(tx, "one")
    assert (job.state, job.progress, job.end_time) == (JobState.SUCCEEDED, 1.0, 4)
    assert job.result == result
    stored = jobs.events(tx, "one", after=0)
    assert [entry.sequence for entry in stored] == [1, 2, 3, 4]
    assert [entry.time for entry in stored] == [1, 2, 3, 4]
    assert stored[2].task_loss == 0.25
    assert stored[2].accuracy is None
    assert jobs.events(tx, "one", after=3) == stored[3:]
    assert jobs.events(tx, "one", after=1, limit=2) == stored[1:3]


def test_convert_result_comes_back(tx: sqlite3.Connection) -> None:
    add(tx, "one", JobKind.CONVERT)
    report = QuantizationReport(
        nodes=(NodeReport("v0", "conv2d", True),),
        float_bytes=4,
        parity=ParityCertificate(8, 0, ("portable",)),
    )
    result = ConvertResult(3, "a" * 64, 10, report)
    jobs.succeed(tx, "one", result, now=4)
    assert jobs.get(tx, "one").result == result


def test_recovery_tells_the_truth(tx: sqlite3.Connection) -> None:
    for job_id in ("ran", "stopping", "saving", "waits"):
        add(tx, job_id)
    for _ in range(3):
        jobs.claim(tx, now=2)
    for job_id in ("stopping", "saving"):
        jobs.append(tx, job_id, JobEvent(JobState.CANCELLING, progress=0.25), now=3)
    jobs.set_saves_checkpoint(tx, "saving", True)

    assert jobs.lose_active(tx, attempts=1, now=9) == ("ran", "stopping", "saving")
    interrupted = jobs.get(tx, "ran")
    assert interrupted.state is JobState.INTERRUPTED
    assert interrupted.failure is not None
    assert interrupted.failure.reason == "JOB_INTERRUPTED"
    assert interrupted.end_time == 9
    assert jobs.get(tx, "stopping").state is JobState.CANCELLED
    saved = jobs.get(tx, "saving")
    assert (saved.state, saved.failure) == (JobState.INTERRUPTED, None)
    assert jobs.get(tx, "waits").state is JobState.QUEUED
    assert jobs.lose_active(tx, attempts=1, now=10) == ()
    assert jobs.states(tx) == {
        "ran": JobState.INTERRUPTED,
        "saving": JobState.INTERRUPTED,
        "waits": JobState.QUEUED,
    }


def test_resumed_job_waits_again_with_its_progress(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    jobs.claim(tx, now=2)
    jobs.append(tx, "one", JobEvent(JobState.RUNNING, stage=Stage.QAT, progress=0.5), now=3)
    jobs.set_saves_checkpoint(tx, "one", True)
    jobs.stop(tx, "one", now=4)
    assert jobs.active_user_of_model(tx, "m") == "one"
    jobs.resume(tx, "one", now=5)
    queued = jobs.get(tx, "one")
    assert (queued.state, queued.progress, queued.saves_checkpoint) == (JobState.QUEUED, 0.5, False)
    assert (queued.start_time, queued.end_time, queued.failure) == (None, None, None)
    claimed = jobs.claim(tx, now=6)
    assert claimed is not None
    assert (claimed.start_time, claimed.progress) == (6, 0.5)
    jobs.stop(tx, "one", now=7)
    assert jobs.get(tx, "one").state is JobState.CANCELLED


def claim(tx: sqlite3.Connection) -> JobRecord:
    job = jobs.claim(tx, now=2)
    assert job is not None
    return job


LOST = JobFailure("WorkerDiedError", "WORKER_DIED", "it died")


@pytest.mark.parametrize("kind", list(JobKind))
def test_job_that_gets_no_further_has_failed_with_its_last_error(
    tx: sqlite3.Connection, kind: JobKind
) -> None:
    add(tx, "one", kind)
    for attempt in (1, 2, 3):
        job = claim(tx)
        assert (job.attempt, job.tries) == (attempt, attempt)
        failure = JobFailure("WorkerDiedError", "WORKER_DIED", f"attempt {attempt}")
        jobs.lose(tx, "one", failure, attempts=3, now=3)
    ended = jobs.get(tx, "one")
    assert (ended.state, ended.failure) == (JobState.FAILED, failure)
    messages = [event.message for event in jobs.events(tx, "one", after=0)]
    assert messages == ["", "", "attempt 1", "", "attempt 2", "", "attempt 3"]
    assert jobs.claim(tx, now=4) is None


def test_attempt_that_gets_further_is_the_first_again(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    for progress in (0.2, 0.4, 0.6, 0.8):
        claim(tx)
        jobs.advance(tx, "one", JobEvent(JobState.RUNNING, progress=progress), now=3)
        jobs.lose(tx, "one", LOST, attempts=3, now=3)
        assert jobs.get(tx, "one").state is JobState.QUEUED
    for expected in (JobState.QUEUED, JobState.FAILED):
        claim(tx)
        jobs.advance(tx, "one", JobEvent(JobState.RUNNING, progress=0.8), now=3)
        jobs.lose(tx, "one", LOST, attempts=3, now=3)
        assert jobs.get(tx, "one").state is expected
    assert jobs.get(tx, "one").attempt == 6


def test_server_that_stops_on_purpose_costs_no_attempt(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    for _ in range(10):
        claim(tx)
        assert jobs.lose_active(tx, attempts=3, now=3, on_purpose=True) == ("one",)
    job = claim(tx)
    assert (job.state, job.attempt, job.tries) == (JobState.RUNNING, 11, 1)
    for _ in range(2):
        jobs.lose_active(tx, attempts=3, now=3)
        claim(tx)
    jobs.lose_active(tx, attempts=3, now=3)
    assert jobs.get(tx, "one").state is JobState.FAILED


def test_lost_attempt_of_a_job_that_was_to_stop_ends_it(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    claim(tx)
    jobs.append(tx, "one", JobEvent(JobState.CANCELLING), now=3)
    jobs.lose(tx, "one", LOST, attempts=3, now=4)
    assert jobs.get(tx, "one").state is JobState.CANCELLED


def test_writes_of_an_attempt_that_is_over_are_refused(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    zombie = claim(tx)
    jobs.check_attempt(tx, zombie)
    jobs.lose(tx, "one", LOST, attempts=3, now=3)
    for state in (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED):
        assert jobs.get(tx, "one").state is state
        with pytest.raises(ConflictError) as caught:
            jobs.check_attempt(tx, zombie)
        assert caught.value.reason == "JOB_ATTEMPT_OVER"
        if state is JobState.QUEUED:
            current = claim(tx)
        elif state is JobState.RUNNING:
            jobs.check_attempt(tx, current)
            jobs.succeed(tx, "one", TrainResult(None, None, 0.5, 0.1, 1, 9), now=4)
    with pytest.raises(ConflictError):
        jobs.check_attempt(tx, current)


def test_interrupted_conversion_has_failed(tx: sqlite3.Connection) -> None:
    add(tx, "one", kind=JobKind.CONVERT)
    jobs.claim(tx, now=2)
    assert jobs.lose_active(tx, attempts=1, now=3) == ("one",)
    assert jobs.get(tx, "one").state is JobState.FAILED


def test_users_are_jobs_that_have_not_ended(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    assert jobs.active_user_of_model(tx, "m") == "one"
    assert jobs.active_user_of_dataset(tx, "d") == "one"
    assert jobs.active_user_of_dataset(tx, "other") is None
    jobs.cancel(tx, "one", now=2)
    assert jobs.active_user_of_model(tx, "m") is None
    counts = jobs.counts(tx)
    assert counts[JobKind.TRAIN_QAT, JobState.CANCELLED] == 1
    assert sum(counts.values()) == 1


@pytest.mark.parametrize(
    ("progress", "start_progress", "now_s", "expected"),
    [
        (0.5, 0.0, 110, 10.0),
        (0.25, 0.0, 110, 30.0),
        (0.75, 0.5, 110, 10.0),  # it went on from half of it
        (0.5, 0.5, 110, None),
        (1.0, 0.0, 110, 0.0),
        (0.5, 0.0, 90, 0.0),  # the clock was put back
    ],
)
def test_remaining_time_is_that_at_the_speed_so_far(
    progress: float, start_progress: float, now_s: int, expected: float | None
) -> None:
    job = JobRecord(
        "one",
        JobKind.TRAIN_QAT,
        "m",
        "c",
        create_time=1,
        state=JobState.RUNNING,
        progress=progress,
        start_progress=start_progress,
        start_time=100_000_000,
    )
    assert job.remaining_s(now_s * 1_000_000) == expected
    assert replace(job, state=JobState.SUCCEEDED).remaining_s(now_s * 1_000_000) is None


def test_deleted_job_goes_with_its_events_and_curve(tx: sqlite3.Connection) -> None:
    tx.execute("PRAGMA foreign_keys = ON")
    for job_id in ("one", "two"):
        add(tx, job_id)
        claim(tx)
        curves.insert(tx, job_id, TrainingCurve(np.zeros((1, 6)), ()))
        result = TrainResult(None, None, 0.5, 0.1, 1, 9)
        jobs.succeed(tx, job_id, result, now=4, result_sha256=job_id * 8)
    assert jobs.delete(tx, "one") == {"one" * 8}
    with pytest.raises(NotFoundError):
        jobs.get(tx, "one")
    for table in ("job_events", "job_curves"):
        assert {row[0] for row in tx.execute(f"SELECT job_id FROM {table}")} == {"two"}


def test_unknown_job_is_not_found(tx: sqlite3.Connection) -> None:
    with pytest.raises(NotFoundError):
        jobs.get(tx, "absent")


def test_curves_are_kept_in_bounded_length(tx: sqlite3.Connection) -> None:
    add(tx, "one")
    assert curves.find(tx, "one") is None
    steps = np.arange(6 * 5000, dtype=np.float64).reshape(5000, 6)
    point = EvaluationPoint(3, 1, Stage.QAT, 0.5, None, 1.0, 2.0)
    curves.insert(tx, "one", TrainingCurve(steps, (point,)))
    found = curves.find(tx, "one")
    assert found is not None
    assert found.steps.shape == (curves.MOST_POINTS, 6)
    assert found.column("step")[-1] == steps[-1, 0]
    assert found.column("task_loss").mean() == pytest.approx(steps[:, 1].mean(), rel=1e-3)
    assert found.evaluations == (point,)
