"""Makes rows of results."""

from __future__ import annotations

from benchmarks.latency import Latency
from benchmarks.row import Row


def make_row(**medians: float) -> Row:
    """Returns a row of latencies by contestant, with _ for the space in their names.

    The minimum is half of the median, and the machine becomes slower from turn to turn.
    """
    latencies = {
        name.replace("_", " "): Latency(median, median / 2, 10, (median / 2, median, 3 * median))
        for name, median in medians.items()
    }
    return Row(
        net="digits",
        weights="random",
        batch=1,
        threads=1,
        isa="avx2",
        multiplications=1_000_000,
        peaks=(),
        latencies=latencies,
        kernels={name: {"Conv": 1} for name in latencies},
        differences=dict.fromkeys(latencies, 0.0),
        versions=dict.fromkeys(latencies, "1.0"),
        environments={},
        failures={},
    )
