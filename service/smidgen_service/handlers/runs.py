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

    async def run(self, engine: Engine, requests: Sequence[Arrays]) -> EndedRun:
        """Returns a run on the inputs of some requests joined, when it has ended.

        A caller that is cancelled meanwhile stays here until the run has ended, or at once knows
        that it never begins: nothing can stop it, and what the caller holds for it (memory, a
        place) must not be given back while it goes on.

        Raises:
            InvalidTensorError: an index selects no row, or the inputs do not fit the engine.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._queue.ended_file, self._take_ended)
        run = self._queue.submit(engine, requests)
        self._ends[run] = ended = self._loop.create_future()
        try:
            await ended
        except asyncio.CancelledError:
            if run in self._ends and self._queue.withdraw(run):
                del self._ends[run]
            while run in self._ends:
                self._ends[run] = ended = self._loop.create_future()
                with suppress(asyncio.CancelledError):
                    await ended
            raise
        return run

    def close(self) -> None:
        """Waits for all runs, and takes no more."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._queue.ended_file)
        self._queue.close()

    def _take_ended(self) -> None:
        for run in self._queue.take_ended():
            ended = self._ends.pop(run)
            if not ended.done():
                ended.set_result(None)
