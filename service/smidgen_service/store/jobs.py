"""Rows of jobs and their events. Every change of a job is an event, in the same transaction.

What calls ask for is looked up among the caller's jobs. What the server does by itself, it does to
jobs of all tenants; their ids are its own, and no two jobs share one.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, replace
from typing import Any

from smidgen.config import Augmentation, Preprocessing
from smidgen.data.split import Split
from smidgen.progress import Stage
from smidgen.report import QuantizationReport
from smidgen_service import names
from smidgen_service.errors import ConflictError, JobInterruptedError, NotFoundError
from smidgen_service.store.paging import PageRequest, Slice, select_slice
from smidgen_service.store.records import (
    ConvertResult,
    JobEvent,
    JobFailure,
    JobKind,
    JobRecord,
    JobState,
    TrainResult,
)
from smidgen_service.store.tenancy import current_tenant

_ACTIVE = "state IN ('queued', 'running', 'cancelling', 'interrupted')"


def insert(tx: sqlite3.Connection, job: JobRecord) -> JobRecord:
    """Adds a queued job with its first event."""
    tx.execute(
        "INSERT INTO jobs (tenant, id, kind, state, progress, model_id, calibration_id, dataset_id,"
        " evaluation_dataset_id, train_job_id, config, precision, preprocessing, augmentation,"
        " held_out, last_sequence, create_time)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
        (
            current_tenant(),
            job.id,
            job.kind.value,
            job.state.value,
            job.progress,
            job.model_id,
            job.calibration_id or "",  # of models that were uploaded quantized
            job.dataset_id,
            job.evaluation_dataset_id,
            job.train_job_id,
            json.dumps(dict(job.config)) if job.config is not None else None,
            json.dumps(dict(job.precision)) if job.precision is not None else None,
            None if job.preprocessing is None else json.dumps(job.preprocessing.to_document()),
            None if job.augmentation is None else json.dumps(asdict(job.augmentation)),
            None if job.held_out is None else json.dumps(asdict(job.held_out)),
            job.create_time,
        ),
    )
    append(tx, job.id, JobEvent(state=JobState.QUEUED), now=job.create_time)
    return get(tx, job.id)


def get(tx: sqlite3.Connection, job_id: str) -> JobRecord:
    """Returns a job.

    Raises:
        NotFoundError: there is none.
    """
    row = tx.execute(
        "SELECT * FROM jobs WHERE tenant = ? AND id = ?", (current_tenant(), job_id)
    ).fetchone()
    if row is None:
        raise NotFoundError("job", names.job_name(job_id))
    return _decode(row)


def delete(tx: sqlite3.Connection, job_id: str) -> set[str]:
    """Removes a job with its events and its curve.

    Returns:
        The digests of the blobs that it referred to.

    Raises:
        NotFoundError: there is none.
    """
    result = get(tx, job_id).result_sha256
    tx.execute("DELETE FROM jobs WHERE tenant = ? AND id = ?", (current_tenant(), job_id))
    return set() if result is None else {result}


def _of_anyone(tx: sqlite3.Connection, job_id: str) -> JobRecord:
    """Returns a job of any tenant, for what the server does by itself."""
    return _decode(tx.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone())


def select(tx: sqlite3.Connection, request: PageRequest) -> Slice[JobRecord]:
    """Returns a page of jobs."""
    return select_slice(tx, "jobs", request, _decode)


def append(tx: sqlite3.Connection, job_id: str, event: JobEvent, *, now: int) -> JobEvent:
    """Adds an event and takes state, stage and progress of the job from it."""
    sequence = 1 + int(
        tx.execute("SELECT last_sequence FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
    )
    stored = replace(event, sequence=sequence, time=now)
    columns = {**asdict(stored), "job_id": job_id}
    tx.execute(
        f"INSERT INTO job_events ({', '.join(columns)})"
        f" VALUES ({', '.join(f':{name}' for name in columns)})",
        columns,
    )
    tx.execute(
        "UPDATE jobs SET state = :state, stage = :stage, progress = :progress,"
        " last_sequence = :sequence WHERE id = :job_id",
        columns,
    )
    return stored


def events(
    tx: sqlite3.Connection, job_id: str, *, after: int, limit: int = 1000
) -> tuple[JobEvent, ...]:
    """Returns the events of a job with a greater sequence, in order."""
    rows = tx.execute(
        "SELECT * FROM job_events WHERE job_id = (SELECT id FROM jobs WHERE tenant = ? AND id = ?)"
        " AND sequence > ? ORDER BY sequence LIMIT ?",
        (current_tenant(), job_id, after, limit),
    ).fetchall()
    return tuple(_decode_event(row) for row in rows)


def claim(tx: sqlite3.Connection, *, now: int) -> JobRecord | None:
    """Takes a queued job of any tenant to run it, as a new attempt; None if none waits.

    It is the oldest one of the tenant whose turn was longest ago, so that a tenant with many jobs
    does not keep others from theirs.
    """
    row = tx.execute(
        "SELECT id, tenant, progress FROM jobs WHERE state = 'queued' ORDER BY"
        " (SELECT COALESCE(MAX(last), 0) FROM job_turns WHERE job_turns.tenant = jobs.tenant),"
        " sequence LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    tx.execute(
        "INSERT INTO job_turns SELECT ?, COALESCE(MAX(last), 0) + 1 FROM job_turns WHERE 1"
        " ON CONFLICT (tenant) DO UPDATE SET last = excluded.last",
        (row["tenant"],),
    )
    tx.execute(
        "UPDATE jobs SET start_time = ?, start_progress = progress, attempt = attempt + 1,"
        " tries = tries + 1 WHERE id = ?",
        (now, row["id"]),
    )
    event = JobEvent(state=JobState.RUNNING, stage=Stage.LOAD, progress=row["progress"])
    append(tx, row["id"], event, now=now)
    return _of_anyone(tx, row["id"])


def check_attempt(tx: sqlite3.Connection, job: JobRecord) -> None:
    """Refuses what comes of an attempt that is over: the job may have been begun again since.

    Args:
        tx: The transaction of the change.
        job: The job as it was when the attempt began.

    Raises:
        ConflictError: the job has another attempt now, or does not run.
    """
    row = tx.execute("SELECT attempt, state FROM jobs WHERE id = ?", (job.id,)).fetchone()
    runs = row is not None and row["state"] in (JobState.RUNNING, JobState.CANCELLING)
    if not runs or row["attempt"] != job.attempt:
        raise ConflictError(
            f"attempt {job.attempt} of {names.job_name(job.id)} is over; its results are dropped",
            reason="JOB_ATTEMPT_OVER",
            attempt=job.attempt,
        )


def advance(tx: sqlite3.Connection, job_id: str, event: JobEvent, *, now: int) -> None:
    """Adds an event of a worker; the state is the job's own, which may be CANCELLING by now.

    An attempt that gets further than all before it counts as the first one.
    """
    append(tx, job_id, replace(event, state=_of_anyone(tx, job_id).state), now=now)
    tx.execute(
        "UPDATE jobs SET reached = progress, tries = 1 WHERE id = ? AND progress > reached",
        (job_id,),
    )


def requeue(tx: sqlite3.Connection, job_id: str, message: str, *, now: int, counts: bool) -> None:
    """Queues a job again whose attempt was lost.

    Args:
        tx: The transaction.
        job_id: The job.
        message: Why, for people.
        now: The time.
        counts: Whether the attempt counts as one that got no further. One that the server ended
            on purpose does not.
    """
    tx.execute(
        "UPDATE jobs SET start_time = NULL, tries = tries - ? WHERE id = ?",
        (0 if counts else 1, job_id),
    )
    event = JobEvent(JobState.QUEUED, progress=_of_anyone(tx, job_id).progress, message=message)
    append(tx, job_id, event, now=now)


def succeed(
    tx: sqlite3.Connection,
    job_id: str,
    result: TrainResult | ConvertResult,
    *,
    now: int,
    result_sha256: str | None = None,
    result_bytes: int = 0,
) -> None:
    """Ends a job with a result, and perhaps a stored file."""
    tx.execute(
        "UPDATE jobs SET result = ?, result_sha256 = ?, result_bytes = ?, end_time = ?"
        " WHERE id = ?",
        (json.dumps(asdict(result)), result_sha256, result_bytes, now, job_id),
    )
    append(tx, job_id, JobEvent(state=JobState.SUCCEEDED, progress=1.0), now=now)


def fail(tx: sqlite3.Connection, job_id: str, failure: JobFailure, *, now: int) -> None:
    """Ends a job with an error."""
    tx.execute(
        "UPDATE jobs SET failure = ?, end_time = ? WHERE id = ?",
        (json.dumps(asdict(failure)), now, job_id),
    )
    progress = _of_anyone(tx, job_id).progress
    event = JobEvent(state=JobState.FAILED, progress=progress, message=failure.message)
    append(tx, job_id, event, now=now)


def cancel(tx: sqlite3.Connection, job_id: str, *, now: int) -> None:
    """Ends a job because it was asked to stop."""
    tx.execute("UPDATE jobs SET end_time = ? WHERE id = ?", (now, job_id))
    progress = _of_anyone(tx, job_id).progress
    append(tx, job_id, JobEvent(state=JobState.CANCELLED, progress=progress), now=now)


def interrupt(tx: sqlite3.Connection, job_id: str, failure: JobFailure | None, *, now: int) -> None:
    """Sets a training to rest until it is resumed; failure is None where it was asked for."""
    encoded = json.dumps(asdict(failure)) if failure is not None else None
    tx.execute("UPDATE jobs SET failure = ?, end_time = ? WHERE id = ?", (encoded, now, job_id))
    event = JobEvent(
        state=JobState.INTERRUPTED,
        progress=_of_anyone(tx, job_id).progress,
        message=failure.message if failure is not None else "",
    )
    append(tx, job_id, event, now=now)


def resume(tx: sqlite3.Connection, job_id: str, *, now: int) -> None:
    """Queues an interrupted job again."""
    tx.execute(
        "UPDATE jobs SET failure = NULL, start_time = NULL, end_time = NULL, saves_checkpoint = 0,"
        " tries = 0 WHERE id = ?",
        (job_id,),
    )
    event = JobEvent(state=JobState.QUEUED, progress=_of_anyone(tx, job_id).progress)
    append(tx, job_id, event, now=now)


def set_saves_checkpoint(tx: sqlite3.Connection, job_id: str, is_saving: bool) -> None:
    """Notes whether a job that is asked to stop shall be resumable."""
    tx.execute("UPDATE jobs SET saves_checkpoint = ? WHERE id = ?", (is_saving, job_id))


def stop(tx: sqlite3.Connection, job_id: str, *, now: int) -> None:
    """Ends a job that was asked to stop: for good, or until it is resumed."""
    if _of_anyone(tx, job_id).saves_checkpoint:
        interrupt(tx, job_id, None, now=now)
    else:
        cancel(tx, job_id, now=now)


def lose(
    tx: sqlite3.Connection, job_id: str, failure: JobFailure, *, attempts: int, now: int
) -> None:
    """Ends an attempt that was lost through no fault of the job's own, as far as one can tell.

    It is queued again until so many attempts in a row got no further, and then has failed. With
    one attempt nothing is begun again by itself: trainings wait until they are resumed.
    """
    job = _of_anyone(tx, job_id)
    if job.state is JobState.CANCELLING:
        stop(tx, job_id, now=now)
    elif job.tries < attempts:
        requeue(tx, job_id, failure.message, now=now, counts=True)
    elif attempts == 1 and job.kind is JobKind.TRAIN_QAT:
        interrupt(tx, job_id, failure, now=now)
    else:
        fail(tx, job_id, failure, now=now)


def lose_active(
    tx: sqlite3.Connection, *, attempts: int, now: int, on_purpose: bool = False
) -> tuple[str, ...]:
    """Ends the attempts of jobs that ran when the server stopped; returns the jobs' ids.

    Args:
        tx: The transaction.
        attempts: As for lose().
        now: The time.
        on_purpose: Whether the server was told to stop, which counts against no job.
    """
    rows = tx.execute(
        "SELECT id, state FROM jobs WHERE state IN ('running', 'cancelling') ORDER BY sequence"
    ).fetchall()
    error = JobInterruptedError()
    failure = JobFailure(type(error).__name__, error.reason, error.message, error.metadata)
    for row in rows:
        if on_purpose and attempts > 1 and row["state"] == JobState.RUNNING:
            requeue(tx, row["id"], failure.message, now=now, counts=False)
        else:
            lose(tx, row["id"], failure, attempts=attempts, now=now)
    return tuple(row["id"] for row in rows)


def states(tx: sqlite3.Connection) -> dict[str, JobState]:
    """Returns the states of all tenants' jobs that have not ended for good, by id."""
    rows = tx.execute(f"SELECT id, state FROM jobs WHERE {_ACTIVE}")
    return {row["id"]: JobState(row["state"]) for row in rows}


def failed(tx: sqlite3.Connection) -> set[str]:
    """Returns the ids of all tenants' jobs that have failed."""
    return {row["id"] for row in tx.execute("SELECT id FROM jobs WHERE state = 'failed'")}


def active_user_of_model(tx: sqlite3.Connection, model_id: str) -> str | None:
    """Returns the id of a job that has not ended and uses the model."""
    return _active(tx, "model_id = :id", model_id)


def active_user_of_dataset(tx: sqlite3.Connection, dataset_id: str) -> str | None:
    """Returns the id of a job that has not ended and uses the dataset."""
    return _active(tx, "(dataset_id = :id OR evaluation_dataset_id = :id)", dataset_id)


def active_user_of_training(tx: sqlite3.Connection, job_id: str) -> str | None:
    """Returns the id of a job that has not ended and converts what a training brought."""
    return _active(tx, "train_job_id = :id", job_id)


def counts(tx: sqlite3.Connection) -> dict[tuple[JobKind, JobState], int]:
    """Returns how many jobs of all tenants are in each state, by kind, zeros included."""
    found = {(kind, state): 0 for kind in JobKind for state in JobState}
    for row in tx.execute("SELECT kind, state, COUNT(*) FROM jobs GROUP BY kind, state"):
        found[JobKind(row[0]), JobState(row[1])] = row[2]
    return found


def queued(tx: sqlite3.Connection) -> dict[JobKind, int]:
    """Returns when the oldest queued job of any tenant was made, by kind; 0 for none."""
    rows = tx.execute(
        "SELECT kind, MIN(create_time) FROM jobs WHERE state = 'queued' GROUP BY kind"
    )
    return {**dict.fromkeys(JobKind, 0), **{JobKind(row[0]): int(row[1]) for row in rows}}


def _active(tx: sqlite3.Connection, condition: str, resource_id: str) -> str | None:
    row = tx.execute(
        f"SELECT id FROM jobs WHERE tenant = :tenant AND {_ACTIVE} AND {condition} LIMIT 1",
        {"tenant": current_tenant(), "id": resource_id},
    ).fetchone()
    return str(row["id"]) if row is not None else None


def _decode(row: sqlite3.Row) -> JobRecord:
    kind = JobKind(row["kind"])
    failure = row["failure"]
    result = row["result"]
    return JobRecord(
        id=row["id"],
        tenant=row["tenant"],
        kind=kind,
        model_id=row["model_id"],
        calibration_id=row["calibration_id"] or None,
        create_time=row["create_time"],
        dataset_id=row["dataset_id"],
        evaluation_dataset_id=row["evaluation_dataset_id"],
        train_job_id=row["train_job_id"],
        config=json.loads(row["config"]) if row["config"] is not None else None,
        precision=json.loads(row["precision"]) if row["precision"] is not None else None,
        preprocessing=Preprocessing.from_document(json.loads(row["preprocessing"]))
        if row["preprocessing"] is not None
        else None,
        augmentation=Augmentation(**json.loads(row["augmentation"]))
        if row["augmentation"] is not None
        else None,
        held_out=None if row["held_out"] is None else Split(**json.loads(row["held_out"])),
        state=JobState(row["state"]),
        stage=Stage(row["stage"]) if row["stage"] is not None else None,
        progress=row["progress"],
        last_sequence=row["last_sequence"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        failure=JobFailure(**json.loads(failure)) if failure is not None else None,
        result=_decode_result(kind, json.loads(result)) if result is not None else None,
        result_sha256=row["result_sha256"],
        saves_checkpoint=bool(row["saves_checkpoint"]),
        attempt=row["attempt"],
        tries=row["tries"],
        start_progress=row["start_progress"],
    )


def _decode_result(kind: JobKind, document: dict[str, Any]) -> TrainResult | ConvertResult:
    if kind is JobKind.TRAIN_QAT:
        stage = document.get("best_stage")
        best_stage = Stage(stage) if stage is not None else None
        return TrainResult(**{**document, "best_stage": best_stage})
    report = QuantizationReport.from_dict(document["report"])
    return ConvertResult(**{**document, "report": report})


def _decode_event(row: sqlite3.Row) -> JobEvent:
    columns = {name: row[name] for name in row.keys() if name != "job_id"}  # noqa: SIM118 - a Row iterates its values
    columns["state"] = JobState(columns["state"])
    columns["stage"] = Stage(columns["stage"]) if columns["stage"] is not None else None
    return JobEvent(**columns)
