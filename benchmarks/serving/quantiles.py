"""Quantiles of measured times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Quantiles:
    """How long calls took, in milliseconds.

    Attributes:
        p50_ms: Half of the calls took at most this long.
        p99_ms: So did 99 of 100.
        calls: How many were measured.
    """

    p50_ms: float
    p99_ms: float
    calls: int


def quantiles(seconds: Sequence[float]) -> Quantiles:
    """Returns the quantiles of at least one time, in seconds."""
    p50, p99 = np.quantile(np.asarray(seconds) * 1e3, (0.5, 0.99))
    return Quantiles(float(p50), float(p99), len(seconds))
