"""How jobs end when their workers fail, and what stays of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from smidgen.errors import ResumeError, SmidgenError, TrainingError
from smidgen_service.errors import StorageFullError, WorkerDiedError
from smidgen_service.jobs.announcements import Announcements
from smidgen_service.jobs.gauges import JobGauges
from smidgen_service.jobs.process import LOG_NAME
from smidgen_service.jobs.runner import JobRunner, RunnerOptions
from smidgen_service.jobs.running import Cancelled
from smidgen_service.jobs.work import CHECKPOINT_NAME
from smidgen_service.metrics import Metrics
from smidgen_service.store import jobs
from smidgen_service.store.database import Database
from smidgen_service.store.records import JobKind, JobRecord, JobState

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
        JobGauges(Metrics()),
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
    if state is JobState.INTERRUPTED:
        await runner.cancel("one", None, save_checkpoint=False)
        assert (await ended(database)).state is JobState.CANCELLED
        assert not scratch.exists()
    await database.close()


async def ended(database: Database) -> JobRecord:
    """Returns the job as it is stored."""
    return await database.read(lambda tx: jobs.get(tx, "one"))


def names(folder: Path) -> set[str]:
    """Returns the names of all files in a directory."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
