"""How jobs end when their workers fail, and what stays of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smidgen.errors import ResumeError, SmidgenError, TrainingError
from smidgen_service.clock import Clock
from smidgen_service.errors import (
    FailedPreconditionError,
    NotFoundError,
    StorageFullError,
    WorkerDiedError,
)
from smidgen_service.jobs.announcements import Announcements
from smidgen_service.jobs.checkpoints import Checkpoints
from smidgen_service.jobs.gauges import JobGauges
from smidgen_service.jobs.process import LOG_NAME
from smidgen_service.jobs.runner import JobRunner, RunnerOptions
from smidgen_service.jobs.running import Cancelled, Commit, OnEvent
from smidgen_service.jobs.work import CHECKPOINT_NAME
from smidgen_service.metrics import Metrics
from smidgen_service.store import jobs
from smidgen_service.store.database import Database
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import (
    JobEvent,
    JobFailure,
    JobKind,
    JobRecord,
    JobState,
    TrainResult,
)

LOG, CHECKPOINT = {LOG_NAME}, {CHECKPOINT_NAME}


class FailingWork:
    """Leaves files behind and fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    @asynccontextmanager
    async def start(self, job: JobRecord, scratch: Path) -> AsyncIterator[None]:
        for name in (LOG_NAME, CHECKPOINT_NAME, "profile.json"):
            (scratch / name).write_text("x")
        raise self._error
        yield


@pytest.mark.parametrize(
    ("kind", "error", "state", "kept"),
    [
        (JobKind.TRAIN_QAT, WorkerDiedError("died"), JobState.INTERRUPTED, LOG | CHECKPOINT),
        (JobKind.TRAIN_QAT, StorageFullError(), JobState.INTERRUPTED, LOG | CHECKPOINT),
        (JobKind.TRAIN_QAT, ResumeError("other"), JobState.INTERRUPTED, LOG | CHECKPOINT),
        (JobKind.TRAIN_QAT, Cancelled(), JobState.INTERRUPTED, LOG | CHECKPOINT),
        (JobKind.TRAIN_QAT, TrainingError("diverged"), JobState.FAILED, LOG),
        (JobKind.TRAIN_QAT, ValueError("a fault"), JobState.FAILED, LOG),
        (JobKind.CONVERT, WorkerDiedError("died"), JobState.FAILED, LOG),
        (JobKind.CONVERT, Cancelled(), JobState.FAILED, LOG),
    ],
)
async def test_trainings_that_can_go_on_keep_their_checkpoints(
    tmp_path: Path, kind: JobKind, error: BaseException, state: JobState, kept: set[str]
) -> None:
    database = await Database(tmp_path / "test.db").open()
    runner = JobRunner(
        database,
        FailingWork(error),  # type: ignore[arg-type]  # it is asked for nothing else
        Announcements(),
        JobGauges(Metrics(), Checkpoints(tmp_path / "jobs", 1.0)),
        root=tmp_path / "jobs",
        options=RunnerOptions(workers=1, cancel_grace_s=1.0),
        clock=lambda: 3,
    )
    job = JobRecord("one", kind, "m", "c", create_time=1)
    await runner.submit(job, None, lambda _: None)
    scratch = tmp_path / "jobs" / "one"
    runner.start()
    try:
        async with asyncio.timeout(30):
            while not (await ended(database)).state.is_at_rest or names(scratch) != kept:
                await asyncio.sleep(0.01)
    finally:
        await runner.stop()
    found = await ended(database)
    assert found.state is state
    assert found.failure is not None
    if isinstance(error, SmidgenError):
        assert found.failure.reason == error.reason
    assert names(scratch) == kept
    await runner.recover()  # as the next server does
    assert names(scratch) == kept
    if state is JobState.INTERRUPTED:
        await runner.cancel("one", None, save_checkpoint=False)
        assert (await ended(database)).state is JobState.CANCELLED
        assert not scratch.exists()
    await database.close()


class SteadyWork:
    """Makes three steps, with something done between them, and succeeds."""

    def __init__(self, between: Callable[[], Awaitable[None]]) -> None:
        self._between = between
        self.attempts: list[int] = []

    @asynccontextmanager
    async def start(self, job: JobRecord, scratch: Path) -> AsyncIterator[SteadyWork]:
        self.attempts.append(job.attempt)
        yield self

    async def follow(self, on_event: OnEvent) -> Commit:
        for step in (1, 2, 3):
            await on_event(JobEvent(JobState.RUNNING, progress=step / 4, step=step))
            await self._between()
        result = TrainResult(None, None, 0.5, 0.1, 1, 3)
        return lambda tx: jobs.succeed(tx, "one", result, now=9)

    def signal(self, _number: int) -> None:
        raise AssertionError("nobody asked it to stop")


def runner_of(
    database: Database, work: object, root: Path, clock: Clock, attempts: int = 3
) -> JobRunner:
    return JobRunner(
        database,
        work,  # type: ignore[arg-type]  # it is asked for nothing else
        Announcements(),
        JobGauges(Metrics(), Checkpoints(root, 1.0)),
        root=root,
        options=RunnerOptions(workers=1, cancel_grace_s=1.0, attempts=attempts),
        clock=clock,
    )


async def run_one(database: Database, runner: JobRunner) -> JobRecord:
    """Returns the job at its end."""
    await runner.submit(JobRecord("one", JobKind.TRAIN_QAT, "m", "c", 1), None, lambda _: None)
    runner.start()
    async with asyncio.timeout(30):
        while not (await ended(database)).state.is_final:
            await asyncio.sleep(0.01)
    await runner.stop()
    return await ended(database)


async def test_clock_that_jumps_by_hours_changes_nothing_but_times(tmp_path: Path) -> None:
    hour_us = 3600 * 1_000_000
    jumps = itertools.cycle((0, hour_us, -hour_us, 5 * hour_us))
    database = await Database(tmp_path / "test.db").open()
    work = SteadyWork(lambda: asyncio.sleep(0))
    clock = lambda: 100 * hour_us + next(jumps)  # noqa: E731 - a clock is a function
    job = await run_one(database, runner_of(database, work, tmp_path / "jobs", clock))
    assert (job.state, job.attempt, work.attempts) == (JobState.SUCCEEDED, 1, [1])
    events = await database.read(lambda tx: jobs.events(tx, "one", after=0))
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    times = [event.time for event in events]
    assert times != sorted(times)
    await database.close()


async def test_attempt_that_is_over_ends_nothing(tmp_path: Path) -> None:
    """The first attempt is given up by somebody else in its middle, and goes on all the same."""
    database = await Database(tmp_path / "test.db").open()
    failure = JobFailure("WorkerDiedError", "WORKER_SILENT", "it was silent")

    async def give_up() -> None:
        if work.attempts == [1] and (await ended(database)).state is JobState.RUNNING:
            await database.write(lambda tx: jobs.lose(tx, "one", failure, attempts=3, now=4))

    work = SteadyWork(give_up)
    job = await run_one(database, runner_of(database, work, tmp_path / "jobs", lambda: 3))
    assert (job.state, job.attempt, work.attempts) == (JobState.SUCCEEDED, 2, [1, 2])
    events = await database.read(lambda tx: jobs.events(tx, "one", after=0))
    assert [event.step for event in events] == [0, 0, 1, 0, 0, 1, 2, 3, 0]
    assert [event.state for event in events].count(JobState.SUCCEEDED) == 1
    await database.close()


async def test_jobs_are_deleted_once_they_have_ended(tmp_path: Path) -> None:
    database = await Database(tmp_path / "test.db").open()
    runner = JobRunner(
        database,
        FailingWork(TrainingError("diverged")),  # type: ignore[arg-type]  # as above
        Announcements(),
        JobGauges(Metrics(), Checkpoints(tmp_path / "jobs", 1.0)),
        root=tmp_path / "jobs",
        options=RunnerOptions(workers=1, cancel_grace_s=1.0),
        clock=lambda: 3,
    )
    await runner.submit(JobRecord("one", JobKind.TRAIN_QAT, "m", "c", 1), None, lambda _: None)
    user = JobRecord("two", JobKind.CONVERT, "m", "c", 1, train_job_id="one")
    with pytest.raises(FailedPreconditionError) as caught:
        await runner.delete("one", None)
    assert caught.value.reason == "JOB_NOT_ENDED"
    runner.start()
    async with asyncio.timeout(30):
        while names(tmp_path / "jobs" / "one") != LOG:
            await asyncio.sleep(0.01)
    await runner.stop()
    await database.write(lambda tx: jobs.insert(tx, user))
    with pytest.raises(FailedPreconditionError) as caught:
        await runner.delete("one", None)
    assert caught.value.reason == "JOB_IN_USE"
    await runner.cancel("two", None, save_checkpoint=False)
    key = RequestKey("DeleteJob", "id", "body")
    for _ in range(2):
        assert await runner.delete("one", key) == set()
    assert not (tmp_path / "jobs" / "one").exists()
    with pytest.raises(NotFoundError):
        await runner.delete("one", None)
    await database.close()


async def ended(database: Database) -> JobRecord:
    """Returns the job as it is stored."""
    return await database.read(lambda tx: jobs.get(tx, "one"))


def names(folder: Path) -> set[str]:
    """Returns the names of all files in a directory."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
