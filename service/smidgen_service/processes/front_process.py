"""One front as the control process sees it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from typing import Any, Self

from smidgen_service.jobs.frames import Frame
from smidgen_service.processes.beginning import Beginning
from smidgen_service.processes.link import ERROR, Link, error_from
from smidgen_service.processes.weight_files import WeightFiles
from smidgen_service.processes.weight_line import WeightLine

_ENDING_S = 5.0


class FrontGoneError(Exception):
    """A front has ended before it answered."""


class FrontProcess:
    """A front, which cannot outlive this process."""

    def __init__(self, process: asyncio.subprocess.Process, link: Link) -> None:
        self._process = process
        self._link = link
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Frame]] = {}
        self._is_gone = False
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, beginning: Beginning, weights: WeightFiles) -> Self:
        """Starts a front, which waits until it is asked to serve.

        Args:
            beginning: What it is told.
            weights: Keep what it has packed.
        """
        ours, theirs = socket.socketpair()
        weight_line, their_weight_line = WeightLine.pair()
        try:
            with theirs, their_weight_line:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "smidgen_service.processes.front",
                    str(os.getpid()),
                    str(theirs.fileno()),
                    str(their_weight_line.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), their_weight_line.fileno()),
                    start_new_session=True,  # Ctrl+C is for the control process
                )
            link = await Link.over(ours)
        except BaseException:
            ours.close()
            weight_line.close()
            raise
        weights.serve(weight_line)
        link.send("begin", beginning.to_fields())
        return cls(process, link)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, kind: str, **fields: Any) -> asyncio.Future[Frame]:
        """Sends an order at once, and returns what its answer will be.

        It is a FrontGoneError if the front ends before, and the SmidgenError that it reports.
        """
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        if self._is_gone:
            answer.set_exception(FrontGoneError())
            return answer
        number = next(self._numbers)
        self._asked[number] = answer
        self._link.send(kind, {**fields, "number": number})
        return answer

    def tell(self, kind: str, **fields: Any) -> None:
        """Sends an order whose answer nobody needs."""
        if not self._is_gone:
            self._link.send(kind, {**fields, "number": None})

    async def ended(self) -> int:
        """Waits for the end of the process and returns its exit code, -N after signal N."""
        await asyncio.shield(self._listening)
        try:
            async with asyncio.timeout(_ENDING_S):
                return await self._process.wait()
        except TimeoutError:  # without its line it is of no use
            self.kill()
            return await self._process.wait()

    def kill(self) -> None:
        """Kills the process if it still runs."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)

    async def _listen(self) -> None:
        while (frame := await self._link.receive()) is not None:
            answer = self._asked.pop(frame.fields["number"], None)
            if answer is None or answer.done():
                continue
            if frame.kind == ERROR:
                answer.set_exception(error_from(frame.fields))
            else:
                answer.set_result(frame)
        self._is_gone = True
        self._link.close()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(FrontGoneError())
        self._asked.clear()
