"""Whether the server starts, serves, leaves or stops, and the watch streams that end then."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterator
from contextlib import contextmanager

from smidgen_service.errors import DrainingError, OverloadedError

MOST_WATCHES = 256
"""Streams of health and reflection that may be open: anyone can open those of health."""
_QUIET_S, _MOST_REFUSING_S = 0.1, 1.0


class Phase(enum.Enum):
    """Where the server stands. A LEAVING one serves, and has said that it soon will not."""

    STARTING = enum.auto()
    SERVING = enum.auto()
    LEAVING = enum.auto()
    DRAINING = enum.auto()


class Lifecycle:
    """The phase of the server."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._refused = 0
        self._watches: set[asyncio.Task[object]] = set()
        self._ended: set[asyncio.Task[object]] = set()

    @property
    def is_serving(self) -> bool:
        """Whether calls pass."""
        return self.phase in (Phase.SERVING, Phase.LEAVING)

    def check(self) -> None:
        """Lets a call pass while the server serves.

        Raises:
            DrainingError: it starts or stops.
        """
        if self.phase is Phase.STARTING:
            raise DrainingError(
                "the server is starting; try again in a moment", reason="SERVER_STARTING"
            )
        if self.phase is Phase.DRAINING:
            self._refused += 1
            raise DrainingError

    async def leave(self, seconds: float) -> None:
        """Keeps serving for a while: whoever sends calls to healthy servers hears of it late.

        Args:
            seconds: How late.
        """
        self.phase = Phase.LEAVING
        await asyncio.sleep(seconds)

    def drain(self) -> None:
        """Refuses calls from here on and ends the watch streams."""
        self.phase = Phase.DRAINING
        for task in self._watches:
            self._ended.add(task)
            task.cancel()

    async def until_quiet(self) -> None:
        """Waits until no call was refused for a moment, or for a second.

        When grpc's server stops, calls that are on their way end as CANCELLED, which clients do not
        repeat. Those that were refused before wait for as long as they were told to.
        """
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + _MOST_REFUSING_S
        seen = -1
        while seen != self._refused and loop.time() < ends_s:
            seen = self._refused
            await asyncio.sleep(_QUIET_S)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Marks the calling task as a stream without an end of its own.

        Raises:
            DrainingError: in place of the cancellation by which drain() ended it.
            OverloadedError: there are too many of them.
        """
        if len(self._watches) >= MOST_WATCHES:
            raise OverloadedError(
                f"{MOST_WATCHES} watch streams are open, and no more may be; end those that nobody "
                "looks at, or ask with Check",
                retry_after_s=1.0,
                reason="TOO_MANY_WATCHES",
            )
        task = asyncio.current_task()
        assert task is not None  # calls run in tasks
        self._watches.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise DrainingError from None
        finally:
            self._watches.discard(task)
            self._ended.discard(task)
