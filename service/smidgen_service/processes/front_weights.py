"""Packed weights that a front has in common with the others."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque

from smidgen.engine import Engine, Sharing
from smidgen_service.logs import log
from smidgen_service.processes.weight_line import DROP, TAKE, LineEndedError, Message, WeightLine
from smidgen_service.threads import Threads

_LEAST_BYTES = 1 << 16
"""Weights of fewer bytes are not worth a file."""
_ANSWER_S = 1.0
"""A load waits no longer than that for what only saves memory."""


class FrontWeights:
    """Shares weights by files that the control process keeps.

    Whatever goes wrong, the engine keeps the weights that it has packed.

    Args:
        line: To the control process.
        threads: For comparing weights.
    """

    def __init__(self, line: WeightLine, threads: Threads) -> None:
        self._line: WeightLine | None = line
        self._threads = threads
        self._asked: deque[asyncio.Future[int | None]] = deque()
        self._told: set[Sharing] = set()
        asyncio.get_running_loop().add_reader(line, self._read, line)

    async def share(self, sha256: str, engine: Engine) -> bool:
        """Does what SharedWeights do."""
        if engine.shareable_bytes < _LEAST_BYTES:
            return False
        found: Sharing = "impossible"
        try:
            found = await self._share(_key(sha256, engine), engine)
        finally:
            if found != "shared":
                self.let_go(sha256, engine)
        self._tell(sha256, found)
        return found == "shared"

    def let_go(self, sha256: str, engine: Engine) -> None:
        """Does what SharedWeights do."""
        self._send(Message(DROP, _key(sha256, engine)))

    def close(self) -> None:
        """Ends the line. What is shared stays so."""
        if self._line is None:
            return
        asyncio.get_running_loop().remove_reader(self._line)
        self._line.close()
        self._line = None
        while self._asked:
            self._answer(None)

    async def _share(self, key: str, engine: Engine) -> Sharing:
        file = await self._take(key)
        if file is None:
            return "impossible"
        try:
            return await self._threads.run(engine.share_weights, file)
        finally:
            os.close(file)

    async def _take(self, key: str) -> int | None:
        if not self._send(Message(TAKE, key)):
            return None
        answer: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError:
            return None

    def _send(self, message: Message) -> bool:
        if self._line is None:
            return False
        try:
            self._line.send(message)
        except LineEndedError:
            self.close()
            return False
        return True

    def _read(self, line: WeightLine) -> None:
        try:
            while (message := line.receive()) is not None:
                self._answer(message.file)
        except LineEndedError:
            self.close()

    def _answer(self, file: int | None) -> None:
        """Gives the one that has waited for longest its answer."""
        answer = self._asked.popleft()
        if not answer.done():
            answer.set_result(file)
        elif file is not None:  # nobody waits any more
            os.close(file)

    def _tell(self, sha256: str, found: Sharing) -> None:
        """Logs once for each cause that weights are not shared."""
        if found == "shared" or found in self._told:
            return
        self._told.add(found)
        log("weights_not_shared", level=logging.WARNING, artifact=sha256, cause=found)


def _key(sha256: str, engine: Engine) -> str:
    """Returns what decides the packed bytes, in processes of one installation."""
    return f"{sha256} {engine.isa}"
