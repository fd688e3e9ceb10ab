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
        turns_ms: The median of each turn, in milliseconds.
    """

    median_ms: float
    minimum_ms: float
    calls: int
    turns_ms: tuple[float, ...]


def summarize(turns: Sequence[Sequence[float]]) -> Latency:
    """Returns the latency of calls from their seconds, by the turns they were measured in."""
    seconds = [second for turn in turns for second in turn]
    return Latency(
        1e3 * statistics.median(seconds),
        1e3 * min(seconds),
        len(seconds),
        tuple(1e3 * statistics.median(turn) for turn in turns),
    )


def ratios_turn_by_turn(latency: Latency, other: Latency) -> tuple[float, ...]:
    """Returns one latency by another for each of the turns, which were side by side.

    A machine that becomes slower or faster while it measures changes both of a turn alike, where it
    moves their medians, and the least of each, apart.
    """
    pairs = zip(latency.turns_ms, other.turns_ms, strict=True)
    return tuple(mine / theirs for mine, theirs in pairs)
