"""Measures contestants in turns, so that all see the same machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.latency import Latency, summarize
from benchmarks.worker import Worker

SECONDS_A_TURN = 0.03
MOST_CALLS = 50


def measure(
    workers: Mapping[str, Worker], rounds: int, between: Callable[[], object]
) -> dict[str, Latency]:
    """Lets every worker run in each round and returns their latencies.

    Args:
        workers: Who runs, in this order.
        rounds: Turns of each.
        between: Called before the first round and after every one.
    """
    calls = {name: _calls_a_turn(worker) for name, worker in workers.items()}
    turns: dict[str, list[list[float]]] = {name: [] for name in workers}
    between()
    for _ in range(rounds):
        for name, worker in workers.items():
            turns[name].append(worker.time(calls[name]))
        between()
    return {name: summarize(times) for name, times in turns.items()}


def _calls_a_turn(worker: Worker) -> int:
    """Returns how many calls fill a turn; the first calls of a runtime may be slow ones."""
    worker.time(3)
    return max(1, min(MOST_CALLS, int(SECONDS_A_TURN / min(worker.time(3)))))
