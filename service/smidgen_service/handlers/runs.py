"""Runs of engines in the engine's own threads, for coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from smidgen.engine import Engine
from smidgen.run_queue import Arrays, NotFinite, QueuedRunTimes, RunQueue


class EndedRun(Protocol):
    """A computation that has ended."""

    @property
    def isa(self) -> str:
        """The instruction set that computed."""

    @property
    def times(self) -> QueuedRunTimes:
        """Where the time went."""

    @property
    def not_finite(self) -> Sequence[NotFinite]:
        """Values for which nothing was computed, of each request the first."""

    def take_outputs(self) -> Arrays:
        """Hands over the outputs of all requests joined. Raises: InvalidTensorError."""


class Computes(Protocol):
    """What coroutines let compute."""

    async def run(self, engine: Engine, requests: Sequence[Arrays], /) -> EndedRun:
        """Returns a run on the inputs of some requests joined, when it has ended."""


class Runs:
    """Computes in threads that need nothing of the interpreter, for the event loop's thread alone.

    Args:
        threads: Runs at the same time.
    """

    def __init__(self, threads: int) -> None:
        self._queue = RunQueue(threads)
        self._ends: dict[EndedRun, asyncio.Future[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._emptied: asyncio.Future[None] | None = None

    async def run(self, engine: Engine, requests: Sequence[Arrays]) -> EndedRun:
        """Returns a run on the inputs of some requests joined, when it has ended.

        A caller that is cancelled meanwhile stays here until the run has ended, or at once knows
        that it never begins: nothing can stop it, and what the caller holds for it (memory, a
        place) must not be given back while it goes on.

        Raises:
            InvalidTensorError: an index selects no row, or the inputs do not fit the engine.
        """
        loop = self._attached()
        run = self._queue.submit(engine, requests)
        self._ends[run] = ended = loop.create_future()
        try:
            await ended
        except asyncio.CancelledError:
            if run in self._ends and self._queue.withdraw(run):
                self._forget(run)
            while run in self._ends:
                self._ends[run] = ended = loop.create_future()
                with suppress(asyncio.CancelledError):
                    await ended
            raise
        return run

    async def stop(self) -> None:
        """Waits until nobody waits for a run any more, and takes no more."""
        if self._ends:
            self._emptied = asyncio.get_running_loop().create_future()
            await self._emptied
        self.close()

    def close(self) -> None:
        """Takes no more runs, and waits for those that are there with the event loop standing."""
        self._queue.close()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._queue.ended_file)
            self._take_ended()

    def _attached(self) -> asyncio.AbstractEventLoop:
        """Returns the loop, that of the first caller."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            loop.add_reader(self._queue.ended_file, self._take_ended)
        elif self._loop is not loop:
            raise RuntimeError("these runs are another event loop's")
        return loop

    def _take_ended(self) -> None:
        for run in self._queue.take_ended():
            self._forget(run)

    def _forget(self, run: EndedRun) -> None:
        ended = self._ends.pop(run, None)
        if ended is not None and not ended.done():
            ended.set_result(None)
        if not self._ends and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
