"""How late the event loop comes to what is due: what every call waits for that finds it busy."""

from __future__ import annotations

import asyncio

from smidgen_service.series import Distribution

INTERVAL_S = 0.1


class LoopLag:
    """Looks some ten times a second, while it is started.

    Args:
        lags: Takes the seconds by which each look was late.
        interval_s: Time between two looks, in seconds.
    """

    def __init__(self, lags: Distribution, interval_s: float = INTERVAL_S) -> None:
        self._lags = lags
        self._interval_s = interval_s
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to look, at the loop that runs."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._interval_s
        self._next = loop.call_at(due_s, self._look, loop, due_s)

    def stop(self) -> None:
        """Ends that."""
        if self._next is not None:
            self._next.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._lags.observe(max(loop.time() - due_s, 0.0))
        self.start()
