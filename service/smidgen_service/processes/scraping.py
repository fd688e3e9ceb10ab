"""Metrics of all processes, as of the moment when somebody asks."""

from __future__ import annotations

import asyncio

from smidgen_service.processes.fleet import Fleet

_MOST_SECONDS = 3.0


class FreshNumbers:
    """Asks the fronts what they have counted, on behalf of the thread that serves metrics.

    Args:
        fleet: The fronts.
        loop: Where they are asked.
    """

    def __init__(self, fleet: Fleet, loop: asyncio.AbstractEventLoop) -> None:
        self._fleet = fleet
        self._loop = loop

    def __call__(self) -> None:
        """Returns once they have told; silent fronts are taken at their last word."""
        counting = asyncio.run_coroutine_threadsafe(self._fleet.count(), self._loop)
        try:
            counting.result(_MOST_SECONDS)
        except TimeoutError:  # the control process itself is busy, or ends
            counting.cancel()
