"""The ranges that a search compares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.statistics import ActivationStatistics

Ends = NDArray[np.float64]


def low_candidates(found: ActivationStatistics, most: int) -> Ends:
    """Returns ends from the smallest value towards 0, evenly spaced edges of cells.

    A range of numbers of one sign is widened to 0 whatever its inner end is, so that this end has
    nothing to choose.
    """
    if found.low >= 0.0:
        return np.array([found.low])
    edges = found.histogram.edges
    return _spread(edges[(edges > found.low) & (edges <= min(found.high, 0.0))], found.low, most)


def high_candidates(found: ActivationStatistics, most: int) -> Ends:
    """Returns ends from the largest value towards 0, likewise."""
    if found.high <= 0.0:
        return np.array([found.high])
    edges = found.histogram.edges
    inner = edges[(edges < found.high) & (edges >= max(found.low, 0.0))]
    return _spread(inner[::-1], found.high, most)


def _spread(inner: Ends, outermost: float, most: int) -> Ends:
    """Takes at most `most` of the ends, the outermost and the innermost among them."""
    ends = np.concatenate([[outermost], inner])
    if len(ends) <= most:
        return ends
    return ends[np.arange(most) * (len(ends) - 1) // (most - 1)]
