"""Admission: some inferences compute, some wait, and more are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from smidgen_service.errors import DeadlineError, OverloadedError
from smidgen_service.metrics import Metrics

_RETRY_AFTER_S = 0.1


class Admission:
    """The queue in front of the engines."""

    def __init__(self, metrics: Metrics, *, most_running: int, most_queued: int) -> None:
        self._metrics = metrics
        self._places = asyncio.Semaphore(most_running)
        self._most_queued = most_queued
        self._queued = 0

    @asynccontextmanager
    async def place(self, deadline_s: float | None) -> AsyncIterator[None]:
        """Holds a place to compute for the time of the block.

        Args:
            deadline_s: Seconds left to the caller; None for no limit.

        Raises:
            OverloadedError: the queue is full.
            DeadlineError: the time was over before a place was free.
        """
        await self._enter(deadline_s)
        self._metrics.inflight_requests.inc()
        try:
            yield
        finally:
            self._metrics.inflight_requests.dec()
            self._places.release()

    async def _enter(self, deadline_s: float | None) -> None:
        if deadline_s is not None and deadline_s <= 0:
            raise DeadlineError("the deadline had passed before the request was computed")
        if not self._places.locked():
            await self._places.acquire()
            return
        if self._queued >= self._most_queued:
            raise OverloadedError(
                f"{self._queued} requests are waiting and no more may; try again later, "
                "or ask the operator for a longer queue",
                retry_after_s=_RETRY_AFTER_S,
                queued=self._queued,
            )
        self._queued += 1
        self._metrics.queue_depth.set(self._queued)
        try:
            async with asyncio.timeout(deadline_s):
                await self._places.acquire()
        except TimeoutError:
            raise DeadlineError(
                "the deadline passed while the request waited for its turn"
            ) from None
        finally:
            self._queued -= 1
            self._metrics.queue_depth.set(self._queued)
