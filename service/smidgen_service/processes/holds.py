"""Versions that a front keeps ready until it is known whether they will serve."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from smidgen_service.handlers.keeping import Keeper
from smidgen_service.store.records import VersionRecord

Found = tuple[VersionRecord, VersionRecord | None]
"""A version, and the one that it takes the place of."""


class _NotKeptError(Exception):
    """A version will not serve."""


@dataclass(frozen=True, slots=True)
class _Hold:
    task: asyncio.Task[None]
    is_ready: asyncio.Future[None]
    is_kept: asyncio.Future[bool]


class Holds:
    """Holds versions, each under a number.

    Args:
        keeper: Keeps them ready in this process.
    """

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._holds: dict[int, _Hold] = {}

    def begin(self, number: int, find: Callable[[], Awaitable[Found]]) -> asyncio.Future[None]:
        """Begins to ready a version, and returns what is done once it is ready."""
        loop = asyncio.get_running_loop()
        is_ready, is_kept = loop.create_future(), loop.create_future()
        task = loop.create_task(self._hold(number, find, is_ready, is_kept))
        self._holds[number] = _Hold(task, is_ready, is_kept)
        return is_ready

    async def settle(self, number: int, *, is_kept: bool) -> None:
        """Ends a hold. A version that is not kept may go."""
        hold = self._holds.get(number)
        if hold is None:  # the process was not there when it began
            return
        if hold.is_ready.done():
            hold.is_kept.set_result(is_kept)
        else:
            hold.task.cancel()
        await asyncio.wait((hold.task,))

    async def _hold(
        self,
        number: int,
        find: Callable[[], Awaitable[Found]],
        is_ready: asyncio.Future[None],
        is_kept: asyncio.Future[bool],
    ) -> None:
        try:
            async with self._keeper.ready(*await find()):
                is_ready.set_result(None)
                if not await is_kept:
                    raise _NotKeptError
        except _NotKeptError:
            return
        except asyncio.CancelledError:
            is_ready.cancel()
            raise
        except Exception as error:  # whatever it is, whoever waits gets it
            is_ready.set_exception(error)
        finally:
            del self._holds[number]
