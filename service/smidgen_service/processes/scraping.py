"""Metrics of all processes, as of the moment when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from smidgen_service.processes.fleet import Fleet
from smidgen_service.processes.numbers import JoinedNumbers

_MOST_SECONDS = 3.0


class FreshNumbers(Collector):
    """Asks the fronts before it tells, on behalf of the thread that serves metrics.

    Args:
        fleet: The fronts.
        numbers: What they have counted.
        loop: Where they are asked.
    """

    def __init__(
        self, fleet: Fleet, numbers: JoinedNumbers, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._fleet = fleet
        self._numbers = numbers
        self._loop = loop

    def describe(self) -> Iterator[Metric]:
        """Yields the metrics without their series."""
        return self._numbers.describe()

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics with their sums; of silent fronts with what they said before."""
        counting = asyncio.run_coroutine_threadsafe(self._fleet.count(), self._loop)
        try:
            counting.result(_MOST_SECONDS)
        except TimeoutError:  # the control process itself is busy, or ends
            counting.cancel()
        yield from self._numbers.collect()
