"""Runs queued jobs, each in a worker process, and writes what happens to them."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smidgen.errors import ResumeError, SmidgenError
from smidgen_service import names
from smidgen_service.clock import Clock
from smidgen_service.errors import (
    ConflictError,
    FailedPreconditionError,
    JobInterruptedError,
    StorageFaultError,
    StorageFullError,
    WorkerDiedError,
)
from smidgen_service.faults import hide
from smidgen_service.jobs.announcements import Announcements
from smidgen_service.jobs.checkpoints import CHECKPOINT_NAME
from smidgen_service.jobs.failures import failure_of
from smidgen_service.jobs.gauges import JobGauges
from smidgen_service.jobs.process import LOG_NAME
from smidgen_service.jobs.running import Cancelled, Commit
from smidgen_service.jobs.work import JobWork
from smidgen_service.logs import log
from smidgen_service.store import idempotency, jobs
from smidgen_service.store.database import Database
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import JobEvent, JobKind, JobRecord, JobState
from smidgen_service.store.tenancy import acting_for

_PAUSE_AFTER_FAULT_S = 1.0
_LOSSES = (JobInterruptedError, WorkerDiedError, StorageFaultError)
"""Errors after which a job is begun again by itself."""
_INTERRUPTIONS = (ResumeError, StorageFullError)
"""Errors after which a training can go on once somebody has done something about them."""


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """How jobs run.

    Attributes:
        workers: Jobs at the same time.
        cancel_grace_s: How long a cancelled job may take to stop by itself.
        attempts: Attempts in a row that may be lost without getting further.
    """

    workers: int
    cancel_grace_s: float
    attempts: int = 1


class JobRunner:
    """The queue of jobs. The store is the truth; this object only works it off."""

    def __init__(
        self,
        database: Database,
        work: JobWork,
        announcements: Announcements,
        gauges: JobGauges,
        *,
        root: Path,
        options: RunnerOptions,
        clock: Clock,
    ) -> None:
        self._database = database
        self._work = work
        self._announcements = announcements
        self._gauges = gauges
        self._root = root
        self._options = options
        self._clock = clock
        self._queued = asyncio.Event()
        self._cancels: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._unwritten: dict[str, Commit] = {}

    async def recover(self) -> None:
        """Ends the attempts that an earlier server left running, and clears their directories.

        Checkpoints of jobs that can go on stay, and logs of these and of those that have failed.
        """
        now = self._clock()
        ended = await self._database.write_reserved(
            lambda tx: jobs.lose_active(tx, attempts=self._options.attempts, now=now)
        )
        for job_id in ended:
            log("job_interrupted", job=job_id)
        states = await self._database.read(jobs.states)
        logged = states.keys() | await self._database.read(jobs.failed)
        if self._root.exists():
            for scratch in self._root.iterdir():
                can_go_on = scratch.name in states
                self._clear(scratch, keep_log=scratch.name in logged, keep_checkpoint=can_go_on)
        await self._refresh_gauges()

    def start(self) -> None:
        """Begins to work off the queue."""
        self._tasks = [
            asyncio.create_task(self._work_off(), name=f"job-worker-{number}")
            for number in range(self._options.workers)
        ]
        self._queued.set()

    async def stop(self) -> None:
        """Kills running workers; their jobs are queued again, or interrupted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        now = self._clock()
        for job_id in await self._database.write_reserved(
            lambda tx: jobs.lose_active(
                tx, attempts=self._options.attempts, now=now, on_purpose=True
            )
        ):
            log("job_interrupted", job=job_id)

    async def earlier(self, key: RequestKey | None) -> JobRecord | None:
        """Returns the job of an earlier call with the same request id, None if there was none."""

        def work(tx: sqlite3.Connection) -> JobRecord | None:
            name = idempotency.find(tx, key)
            return jobs.get(tx, names.parse_job(name)) if name is not None else None

        return await self._database.read(work)

    async def submit(self, job: JobRecord, key: RequestKey | None, check: Commit) -> JobRecord:
        """Adds a job, or returns that of an earlier call with the same request id.

        Args:
            job: The new job.
            key: The request id of the call, if any.
            check: Raises inside the transaction if what the job needs is gone.
        """

        def work(tx: sqlite3.Connection) -> JobRecord:
            earlier = idempotency.find(tx, key)
            if earlier is not None:
                return jobs.get(tx, names.parse_job(earlier))
            self._database.check_room()
            check(tx)
            stored = jobs.insert(tx, job)
            idempotency.record(tx, key, names.job_name(job.id), now=job.create_time)
            return stored

        stored = await self._database.write(work)
        log("job_queued", job=stored.id, kind=stored.kind, model=stored.model_id)
        await self._refresh_gauges()
        self._queued.set()
        return stored

    async def cancel(
        self, job_id: str, key: RequestKey | None, *, save_checkpoint: bool
    ) -> JobRecord:
        """Asks a job to stop; with a checkpoint, so that it can be resumed.

        Raises:
            NotFoundError: there is no such job.
            FailedPreconditionError: it has ended, or has no checkpoints to save.
        """
        now = self._clock()

        def work(tx: sqlite3.Connection) -> JobRecord:
            if idempotency.find(tx, key) is None:
                _request_cancel(tx, jobs.get(tx, job_id), save_checkpoint, now=now)
                idempotency.record(tx, key, names.job_name(job_id), now=now)
            return jobs.get(tx, job_id)

        job = await self._database.write_reserved(work)
        if job.state is JobState.CANCELLING:
            # Without an event the job is about to run, and looks at its state when it does.
            if job_id in self._cancels:
                self._cancels[job_id].set()
        elif job.state is JobState.CANCELLED:
            self._clear(self._root / job_id)
        self._announcements.announce(job_id)
        await self._refresh_gauges()
        log("job_cancel_requested", job=job_id, state=job.state)
        return job

    async def resume(self, job_id: str, key: RequestKey | None, check: Commit) -> JobRecord:
        """Queues an interrupted job again.

        Args:
            job_id: The job.
            key: The request id of the call, if any.
            check: Raises inside the transaction where no more jobs may be queued.

        Raises:
            NotFoundError: there is no such job.
            FailedPreconditionError: it is not interrupted.
        """
        now = self._clock()

        def work(tx: sqlite3.Connection) -> JobRecord:
            if idempotency.find(tx, key) is None:
                _check_interrupted(jobs.get(tx, job_id))
                self._database.check_room()
                check(tx)
                jobs.resume(tx, job_id, now=now)
                idempotency.record(tx, key, names.job_name(job_id), now=now)
            return jobs.get(tx, job_id)

        job = await self._database.write(work)
        log("job_resumed", job=job_id)
        self._announcements.announce(job_id)
        await self._refresh_gauges()
        self._queued.set()
        return job

    async def delete(self, job_id: str, key: RequestKey | None) -> set[str]:
        """Deletes a job that has ended, with all that it left behind.

        Returns:
            The digests of the blobs that it referred to.

        Raises:
            NotFoundError: there is no such job.
            FailedPreconditionError: it has not ended, or a job needs what it trained.
        """
        now = self._clock()

        def work(tx: sqlite3.Connection) -> set[str]:
            if idempotency.find(tx, key) is not None:
                return set()
            _check_deletable(tx, jobs.get(tx, job_id))
            idempotency.record(tx, key, names.job_name(job_id), now=now)
            return jobs.delete(tx, job_id)

        digests = await self._database.write_reserved(work)
        self._clear(self._root / job_id)
        await self._refresh_gauges()
        log("job_deleted", job=job_id)
        return digests

    async def _work_off(self) -> None:
        while True:
            try:
                await self._work_off_one()
            except Exception as error:  # a store that fails, for instance a full disk, may recover
                hide(error, "queue_fault")
                await asyncio.sleep(_PAUSE_AFTER_FAULT_S)

    async def _work_off_one(self) -> None:
        """Runs the next job, or waits until there may be one."""
        await self._write_unwritten_ends()
        job = await self._claim()
        if job is None:
            self._queued.clear()
            await self._queued.wait()
            return
        self._announcements.announce(job.id)
        await self._refresh_gauges()
        with acting_for(job.tenant):
            await self._run(job)

    async def _write_unwritten_ends(self) -> None:
        """Ends jobs whose end could not be written when they ended."""
        for job_id, end in list(self._unwritten.items()):
            await self._write_unwritten(job_id, end)
            self._announcements.announce(job_id)

    async def _claim(self) -> JobRecord | None:
        now = self._clock()
        return await self._database.write(lambda tx: jobs.claim(tx, now=now))

    async def _run(self, job: JobRecord) -> None:
        scratch = self._root / job.id
        cancel = self._cancels[job.id] = asyncio.Event()
        if (await self._database.read(lambda tx: jobs.get(tx, job.id))).state is not job.state:
            cancel.set()
        log("job_started", job=job.id, kind=job.kind, model=job.model_id, attempt=job.attempt)
        self._gauges.attempt_began(job)
        try:
            await self._run_to_end(job, scratch, cancel)
        finally:
            self._gauges.attempt_is_over(job)
            # The job may have been resumed meanwhile, and run already.
            if self._cancels.get(job.id) is cancel:
                self._cancels.pop(job.id)
        ended = await self._database.read(lambda tx: jobs.get(tx, job.id))
        self._gauges.attempt_ended(ended)
        if not ended.state.is_at_rest:  # it waits for its next attempt, or runs again already
            log("job_attempt_lost", job=job.id, attempt=job.attempt, tries=ended.tries)
            self._announcements.announce(job.id)
            await self._refresh_gauges()
            self._queued.set()
            return
        if ended.state.is_final:
            self._clear(scratch, keep_log=ended.state is JobState.FAILED)
        self._announcements.announce(job.id)
        self._gauges.ended(ended)
        await self._refresh_gauges()
        failure = ended.failure
        log(
            "job_ended",
            job=job.id,
            kind=job.kind,
            state=ended.state,
            reason=failure.reason if failure is not None else None,
            error_id=failure.metadata.get("error_id") if failure is not None else None,
        )

    async def _run_to_end(self, job: JobRecord, scratch: Path, cancel: asyncio.Event) -> None:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            async with self._work.start(job, scratch) as running:
                stopper = asyncio.create_task(self._stop_when_asked(cancel, running.signal))
                try:
                    commit = await running.follow(lambda event: self._append(job, event))
                    await self._database.write(_fenced(job, commit))
                finally:
                    stopper.cancel()
        except Cancelled:
            # Where nobody asked, the whole service is being stopped.
            interrupted = JobInterruptedError()
            await (
                self._end_cancelled(job) if cancel.is_set() else self._end_failed(job, interrupted)
            )
        except SmidgenError as error:
            await (self._end_cancelled(job) if cancel.is_set() else self._end_failed(job, error))
        except Exception as error:  # a fault of ours must not stop the queue
            await self._end_failed(job, hide(error, "job_fault", job=job.id))

    async def _end_cancelled(self, job: JobRecord) -> None:
        now = self._clock()
        await self._write_end(job, lambda tx: jobs.stop(tx, job.id, now=now))

    async def _end_failed(self, job: JobRecord, error: SmidgenError) -> None:
        failure, now, attempts = failure_of(error), self._clock(), self._options.attempts
        if error.reason == "WORKER_SILENT":
            self._gauges.lease_expired(job)

        def end(tx: sqlite3.Connection) -> None:
            if isinstance(error, _LOSSES):
                jobs.lose(tx, job.id, failure, attempts=attempts, now=now)
            elif isinstance(error, _INTERRUPTIONS) and job.kind is JobKind.TRAIN_QAT:
                jobs.interrupt(tx, job.id, failure, now=now)
            else:
                jobs.fail(tx, job.id, failure, now=now)

        await self._write_end(job, end)

    async def _write_end(self, job: JobRecord, end: Commit) -> None:
        """Writes the end of an attempt, now or, where that fails, before the next job begins.

        The directory is cleared before: once the end is written, the job may be begun again.
        """
        self._clear(self._root / job.id, keep_log=True, keep_checkpoint=True)
        self._unwritten[job.id] = fenced = _fenced(job, end)
        await self._write_unwritten(job.id, fenced)

    async def _write_unwritten(self, job_id: str, end: Commit) -> None:
        try:
            await self._database.write_reserved(end)
        except ConflictError as error:
            log("job_attempt_over", job=job_id, reason=error.reason)
        self._unwritten.pop(job_id, None)

    async def _stop_when_asked(
        self, cancel: asyncio.Event, send: Callable[[signal.Signals], None]
    ) -> None:
        await cancel.wait()
        send(signal.SIGTERM)
        await asyncio.sleep(self._options.cancel_grace_s)
        send(signal.SIGKILL)

    async def _append(self, job: JobRecord, event: JobEvent) -> None:
        now = self._clock()
        await self._database.write(
            _fenced(job, lambda tx: jobs.advance(tx, job.id, event, now=now))
        )
        self._announcements.announce(job.id)

    async def _refresh_gauges(self) -> None:
        counts, queued = await self._database.read(lambda tx: (jobs.counts(tx), jobs.queued(tx)))
        self._gauges.counted(counts, queued)

    @staticmethod
    def _clear(scratch: Path, *, keep_log: bool = False, keep_checkpoint: bool = False) -> None:
        """Removes what a worker left behind, but for the log or the checkpoint."""
        kept = {LOG_NAME} if keep_log else set()
        kept |= {CHECKPOINT_NAME} if keep_checkpoint else set()
        if not scratch.is_dir():
            return
        for path in scratch.iterdir():
            if path.name not in kept:
                path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
        if not any(scratch.iterdir()):
            scratch.rmdir()


def _fenced(job: JobRecord, change: Commit) -> Commit:
    """Returns a change that is refused once the attempt that wants it is over."""

    def work(tx: sqlite3.Connection) -> None:
        jobs.check_attempt(tx, job)
        change(tx)

    return work


def _request_cancel(
    tx: sqlite3.Connection, job: JobRecord, save_checkpoint: bool, *, now: int
) -> None:
    if job.state.is_final:
        raise FailedPreconditionError(
            f"{names.job_name(job.id)} has already ended as {job.state.upper()}; "
            "there is nothing to cancel",
            reason="JOB_ENDED",
            resource_name=names.job_name(job.id),
            state=job.state.upper(),
        )
    if save_checkpoint and job.kind is not JobKind.TRAIN_QAT:
        raise FailedPreconditionError(
            f"{names.job_name(job.id)} is a {job.kind.upper()} job, which has no checkpoints; "
            "cancel it without",
            reason="JOB_HAS_NO_CHECKPOINTS",
            resource_name=names.job_name(job.id),
        )
    jobs.set_saves_checkpoint(tx, job.id, save_checkpoint)
    if job.state is JobState.INTERRUPTED and save_checkpoint:
        return
    if job.state in (JobState.QUEUED, JobState.INTERRUPTED):
        jobs.stop(tx, job.id, now=now)
    elif job.state is JobState.RUNNING:
        event = JobEvent(state=JobState.CANCELLING, stage=job.stage, progress=job.progress)
        jobs.append(tx, job.id, event, now=now)


def _check_interrupted(job: JobRecord) -> None:
    if job.state is not JobState.INTERRUPTED:
        name = names.job_name(job.id)
        raise FailedPreconditionError(
            f"{name} is {job.state.upper()}, expected INTERRUPTED; only a training that was "
            "stopped before its end can be resumed",
            reason="JOB_NOT_INTERRUPTED",
            resource_name=name,
            state=job.state.upper(),
        )


def _check_deletable(tx: sqlite3.Connection, job: JobRecord) -> None:
    name = names.job_name(job.id)
    if not job.state.is_final:
        raise FailedPreconditionError(
            f"{name} is {job.state.upper()} and has not ended; cancel it first",
            reason="JOB_NOT_ENDED",
            resource_name=name,
            state=job.state.upper(),
        )
    user = jobs.active_user_of_training(tx, job.id)
    if user is not None:
        raise FailedPreconditionError(
            f"{names.job_name(user)} converts what {name} trained; cancel that job or wait for its "
            "end",
            reason="JOB_IN_USE",
            resource_name=name,
            job=names.job_name(user),
        )
