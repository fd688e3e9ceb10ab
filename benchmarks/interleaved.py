"""Latencies of several functions of one process, measured in turns."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.latency import Latency, summarize


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
                seen.append(time.perf_counter() - start)
    return [summarize([[second] for second in seen]) for seen in times]
