"""Latency of two functions, measured in turns so that both see the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

WARM_UP = 20
ROUNDS = 200


def median_latencies_ms(*functions: Callable[[], object]) -> list[float]:
    """Returns the median time of each function in milliseconds; the calls take turns."""
    for _ in range(WARM_UP):
        for function in functions:
            function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(ROUNDS):
        for function, seen in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            seen.append(time.perf_counter() - start)
    return [statistics.median(seen) * 1e3 for seen in times]
