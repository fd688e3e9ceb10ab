"""A bounded pool of threads for work that would hold up the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_SWITCH_S = 0.0003
"""About what one call takes of the event loop."""


def switch_often() -> None:
    """Has the interpreter's lock handed over soon to a thread that waits for it.

    The event loop waits for it where threads read, check and look at samples, and these wait for a
    busy event loop. The interpreter's own 5 ms are longer than most calls.
    """
    sys.setswitchinterval(_SWITCH_S)


class Threads:
    """Runs blocking functions outside the event loop.

    All threads are there from the beginning. The pool would add them one at a time, whenever no
    other has come back yet: a server would go on growing by single threads for hours, which nobody
    could tell from threads that it loses.
    """

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)
        all_there = threading.Barrier(count)
        for _ in range(count):
            self._executor.submit(all_there.wait)

    def run_what_has_no_pool(self) -> None:
        """Takes what asyncio.to_thread gets in this loop, which adds threads for it otherwise."""
        asyncio.get_running_loop().set_default_executor(self._executor)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns the function's result; waits for a free thread if need be.

        A caller that is cancelled meanwhile stays here until the function has returned, or at once
        knows that it never begins: nothing can stop a thread, and whatever the caller holds for it
        (memory, a place, a file) must not be given back while it goes on.
        """
        running = self._executor.submit(partial(function, *args, **kwargs))
        try:
            # Cancelling this cancels `running` too, where no thread has taken it.
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            await _ended(running)
            raise

    def close(self) -> None:
        """Waits for running functions and refuses new ones."""
        self._executor.shutdown()


async def _ended(running: Future[T]) -> None:
    """Waits for the end of a function, however often the caller is cancelled."""
    while not running.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([asyncio.wrap_future(running)])
