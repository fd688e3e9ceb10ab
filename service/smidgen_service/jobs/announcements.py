"""Tells watchers that a job has news; the news itself is in the store."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from smidgen_service.errors import DrainingError


class Subscription:
    """One watcher of one job."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._is_closed = False

    async def wait(self) -> None:
        """Returns once there was an announcement since the last wait.

        Raises:
            DrainingError: the server is shutting down.
        """
        await self._event.wait()
        self._event.clear()
        if self._is_closed:
            raise DrainingError(
                "the server is shutting down; watch again with after_sequence set to the last "
                "event you saw"
            )

    def notify(self, *, is_closed: bool) -> None:
        """Wakes the watcher."""
        self._is_closed = is_closed
        self._event.set()


class Announcements:
    """All watchers of all jobs."""

    def __init__(self) -> None:
        self._subscriptions: defaultdict[str, set[Subscription]] = defaultdict(set)
        self._is_closed = False

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[Subscription]:
        """Registers a watcher before it reads the store, so that it misses nothing."""
        subscription = Subscription()
        self._subscriptions[job_id].add(subscription)
        if self._is_closed:
            subscription.notify(is_closed=True)
        try:
            yield subscription
        finally:
            self._subscriptions[job_id].discard(subscription)
            if not self._subscriptions[job_id]:
                del self._subscriptions[job_id]

    def announce(self, job_id: str) -> None:
        """Wakes the watchers of a job."""
        for subscription in self._subscriptions.get(job_id, ()):
            subscription.notify(is_closed=self._is_closed)

    def close(self) -> None:
        """Ends all watching."""
        self._is_closed = True
        for job_id in list(self._subscriptions):
            self.announce(job_id)
