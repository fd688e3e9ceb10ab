"""What is done now and then: dropping what nobody needs any more."""

from __future__ import annotations

import asyncio

from smidgen_service.clock import Clock
from smidgen_service.faults import hide
from smidgen_service.handlers.receiving import UploadReceiver
from smidgen_service.logs import log
from smidgen_service.store import idempotency
from smidgen_service.store.store import Store

REQUEST_ID_TTL_US = 7 * 86_400 * 1_000_000
_INTERVAL_S = 60.0


class Upkeep:
    """Drops blobs after their grace period, uploads after their time, and old request ids.

    Afterwards there may be room for the reserve again.
    """

    def __init__(
        self,
        store: Store,
        receiver: UploadReceiver,
        *,
        clock: Clock,
        interval_s: float = _INTERVAL_S,
    ) -> None:
        self._store = store
        self._receiver = receiver
        self._clock = clock
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    async def run_once(self) -> None:
        """Does all of it now."""
        uploads = await self._receiver.drop_stale()
        blobs = await self._store.collect_all()
        before = self._clock() - REQUEST_ID_TTL_US
        database = self._store.database
        await database.write_reserved(lambda tx: idempotency.forget_before(tx, before))
        await asyncio.to_thread(database.keep_reserve)
        if uploads or blobs:
            log("upkeep", uploads_dropped=uploads, blobs_removed=blobs)

    def start(self) -> None:
        """Begins to do it every minute."""
        self._task = asyncio.create_task(self._repeat(), name="upkeep")

    async def stop(self) -> None:
        """Ends that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.run_once()
            except Exception as error:  # a disk that fails now may work in a minute
                hide(error, "upkeep_fault")
