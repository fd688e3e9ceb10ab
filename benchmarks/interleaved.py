"""Latencies of several functions, measured in turns so that all see the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall-clock time of one call.

    Attributes:
        median_ms: Half of the calls took at most this long, in milliseconds.
        minimum_ms: The fastest call, in milliseconds.
    """

    median_ms: float
    minimum_ms: float


def measure(
    *functions: Callable[[], object], rounds: int = 200, warm_up: int = 20
) -> list[Latency]:
    """Calls the functions in turns and returns their latencies, in order."""
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(-warm_up, rounds):
        for function, seen in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if turn >= 0:
                seen.append((time.perf_counter() - start) * 1e3)
    return [Latency(statistics.median(seen), min(seen)) for seen in times]
