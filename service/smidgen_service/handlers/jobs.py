"""Following, stopping, resuming and deleting jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from smidgen_service.errors import InvalidArgumentError
from smidgen_service.jobs.announcements import Announcements
from smidgen_service.jobs.runner import JobRunner
from smidgen_service.quotas import Quotas
from smidgen_service.store import jobs
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import Page, PageTokens
from smidgen_service.store.records import JobEvent, JobRecord
from smidgen_service.store.store import Store


class JobHandler:
    """What JobService does."""

    def __init__(
        self,
        store: Store,
        runner: JobRunner,
        announcements: Announcements,
        tokens: PageTokens,
        quotas: Quotas,
    ) -> None:
        self._store = store
        self._database = store.database
        self._quotas = quotas
        self._runner = runner
        self._announcements = announcements
        self._tokens = tokens

    async def get(self, job_id: str) -> JobRecord:
        """Returns a job."""
        return await self._database.read(lambda tx: jobs.get(tx, job_id))

    async def list(self, *, page_size: int, page_token: str) -> Page[JobRecord]:
        """Returns a page of jobs."""
        request = self._tokens.request("jobs", page_size=page_size, page_token=page_token)
        part = await self._database.read(lambda tx: jobs.select(tx, request))
        return self._tokens.page("jobs", part)

    async def cancel(
        self, job_id: str, key: RequestKey | None, *, save_checkpoint: bool
    ) -> JobRecord:
        """Asks a job to stop."""
        return await self._runner.cancel(job_id, key, save_checkpoint=save_checkpoint)

    async def resume(self, job_id: str, key: RequestKey | None) -> JobRecord:
        """Lets an interrupted job go on."""
        check = partial(self._quotas.check_jobs, resumed=job_id)
        return await self._runner.resume(job_id, key, check)

    async def delete(self, job_id: str, key: RequestKey | None) -> None:
        """Deletes a job that has ended."""
        await self._store.tidy(await self._runner.delete(job_id, key))

    async def watch(self, job_id: str, *, after_sequence: int) -> AsyncIterator[JobEvent]:
        """Yields stored events, then live ones, until the one in which the job came to rest.

        Raises:
            NotFoundError: there is no such job.
            DrainingError: the server shuts down before the job ends.
        """
        if after_sequence < 0:
            raise InvalidArgumentError(
                f"after_sequence is {after_sequence}, expected 0 or more",
                field="after_sequence",
                reason="INVALID_AFTER_SEQUENCE",
            )
        last = after_sequence
        with self._announcements.subscribe(job_id) as news:
            while True:
                # The job is read first: if it has ended, the events read after it are complete.
                job = await self._database.read(lambda tx: jobs.get(tx, job_id))
                stored = await self._events(job_id, last)
                for event in stored:
                    last = event.sequence
                    yield event
                if job.state.is_at_rest and last >= job.last_sequence:
                    return
                if not stored:
                    await news.wait()

    async def _events(self, job_id: str, after: int) -> tuple[JobEvent, ...]:
        return await self._database.read(lambda tx: jobs.events(tx, job_id, after=after))
