"""Summaries of measured times."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall-clock time of one call.

    Attributes:
        median_ms: Half of the calls took at most this long, in milliseconds.
        minimum_ms: The fastest call, in milliseconds.
        calls: How many were measured.
    """

    median_ms: float
    minimum_ms: float
    calls: int


def summarize(seconds: Sequence[float]) -> Latency:
    """Returns the latency of calls from their seconds."""
    return Latency(1e3 * statistics.median(seconds), 1e3 * min(seconds), len(seconds))
