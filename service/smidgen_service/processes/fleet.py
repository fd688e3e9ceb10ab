"""All fronts: started, started again if one dies, asked together, and ended."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from smidgen.errors import SmidgenError
from smidgen_service.logs import log
from smidgen_service.metrics import Metrics
from smidgen_service.processes.beginning import Beginning
from smidgen_service.processes.front_process import FrontGoneError, FrontProcess
from smidgen_service.processes.numbers import JoinedNumbers, Numbers
from smidgen_service.processes.weight_files import WeightFiles

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_WELL_AFTER_S = 60.0
"""A front that has lived for so long is started again at once."""
_COUNT_S = 2.0
_BETWEEN_COUNTS_S = 5.0
_REFUSING_S = 2.0
_MORE_GRACE_S = 10.0


class FrontFailedError(Exception):
    """A front does not start."""


class Fleet:
    """The fronts of a server.

    Args:
        metrics: Count those that serve and those that were started again.
        numbers: Take what they have counted.
        weights: Keep what they have packed.
    """

    def __init__(self, metrics: Metrics, numbers: JoinedNumbers, weights: WeightFiles) -> None:
        self._beginnings: Sequence[Beginning] = ()
        self._metrics = metrics
        self._numbers = numbers
        self._weights = weights
        self._fronts: dict[int, FrontProcess] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False

    async def start(self, beginnings: Sequence[Beginning]) -> None:
        """Starts the processes, which wait until they are to serve.

        Args:
            beginnings: What each is told.
        """
        self._beginnings = beginnings
        for index, beginning in enumerate(beginnings):
            self._fronts[index] = await FrontProcess.start(beginning, self._weights)

    async def serve(self) -> None:
        """Lets all fronts serve, and from here on starts those again that die.

        Raises:
            FrontFailedError: one of them does not.
        """
        try:
            await asyncio.gather(*(front.ask("serve") for front in self._fronts.values()))
        except (FrontGoneError, SmidgenError) as error:
            raise FrontFailedError(
                f"one of the {len(self._fronts)} processes that shall serve does not start "
                f"({str(error) or 'it has ended'}); the log has its reason"
            ) from None
        self._show()
        self._tasks = [asyncio.create_task(self._keep(index)) for index in self._fronts]
        self._tasks.append(asyncio.create_task(self._count_at_times()))

    async def ask_all(self, kind: str, **fields: Any) -> None:
        """Sends all fronts an order at once, and waits until they have carried it out.

        One that ends meanwhile need not: what begins in its place knows nothing of what was.

        Raises:
            SmidgenError: one of them could not.
        """
        answers = [front.ask(kind, **fields) for front in self._fronts.values()]
        for answer in await asyncio.gather(*answers, return_exceptions=True):
            if isinstance(answer, BaseException) and not isinstance(answer, FrontGoneError):
                raise answer

    def tell_all(self, kind: str, **fields: Any) -> None:
        """Sends all fronts an order at once."""
        for front in self._fronts.values():
            front.tell(kind, **fields)

    async def count(self) -> None:
        """Asks all fronts what they have counted. One that is silent is taken at its last word."""
        await asyncio.gather(*(self._count(*item) for item in tuple(self._fronts.items())))

    async def leave(self) -> None:
        """Lets all fronts say that they will not serve, and starts none again."""
        self._is_stopping = True
        await self._ask_those_that_answer("leave")

    async def refuse(self) -> None:
        """Lets all fronts refuse calls from here on."""
        await self._ask_those_that_answer("refuse")

    async def finish(self, grace_s: float) -> None:
        """Lets calls in progress end, within `grace_s`, and then all fronts."""
        items = tuple(self._fronts.items())
        await asyncio.gather(*(self._finish(*item, grace_s + _MORE_GRACE_S) for item in items))
        await self.close()

    async def close(self) -> None:
        """Kills all fronts that are left."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        for front in self._fronts.values():
            front.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(front.ended() for front in self._fronts.values()))
        self._weights.close()

    async def _ask_those_that_answer(self, kind: str) -> None:
        with suppress(TimeoutError, SmidgenError):  # what does not is killed in the end
            async with asyncio.timeout(_REFUSING_S):
                await self.ask_all(kind)

    async def _finish(self, index: int, front: FrontProcess, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s):
                answer = await front.ask("finish")
                self._numbers.take(index, Numbers.from_bytes(answer.payload))
                await front.ended()
        except (TimeoutError, FrontGoneError, SmidgenError):
            log("front_killed", level=logging.WARNING, front=index)
            front.kill()

    async def _count(self, index: int, front: FrontProcess) -> None:
        try:
            async with asyncio.timeout(_COUNT_S):
                answer = await front.ask("count")
        except (TimeoutError, FrontGoneError, SmidgenError):
            return
        if self._fronts.get(index) is front:  # else its last numbers are in the sums already
            self._numbers.take(index, Numbers.from_bytes(answer.payload))

    async def _count_at_times(self) -> None:
        """Bounds what is lost with a front that dies."""
        while True:
            await asyncio.sleep(_BETWEEN_COUNTS_S)
            await self.count()

    async def _keep(self, index: int) -> None:
        """Starts a front again whenever it ends."""
        pause_s = 0.0
        while True:
            began_s = time.monotonic()
            code = await self._fronts[index].ended()
            if self._is_stopping:
                return
            del self._fronts[index]
            self._numbers.end(index)
            self._show()
            log("front_ended", level=logging.ERROR, front=index, cause=_cause(code))
            lived_s = time.monotonic() - began_s
            pause_s = 0.0 if lived_s > _WELL_AFTER_S else pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            if self._is_stopping:
                return
            await self._start_again(index)

    async def _start_again(self, index: int) -> None:
        front = await FrontProcess.start(self._beginnings[index], self._weights)
        # From its first order on it hears of all that the others hear of.
        self._fronts[index] = front
        self._metrics.process_restarts.inc()
        if self._is_stopping:
            front.kill()
            return
        try:
            await front.ask("serve")
        except (FrontGoneError, SmidgenError):
            front.kill()
            return
        self._show()
        log("front_started", front=index, pid=front.pid)

    def _show(self) -> None:
        self._metrics.processes.set(len(self._fronts))


def _cause(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
