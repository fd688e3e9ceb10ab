"""How far two distributions are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def jensen_shannon(left: Sequence[int], right: Sequence[int]) -> float:
    """Returns the Jensen-Shannon divergence of two histograms on the same cells, in bits.

    That is how much one value, drawn from either with equal odds, tells on average about which one
    it came from: 0 for equal shares in all cells, 1 for histograms without a common cell. Cells
    that are empty in one need no special care, as those of other divergences do.

    Args:
        left: Counts of the one, at least one of them above 0.
        right: Counts of the other, likewise.

    >>> jensen_shannon([1, 1, 0], [2, 2, 0]), jensen_shannon([3, 0], [0, 5])
    (0.0, 1.0)
    """
    p, q = (np.asarray(counts, np.float64) / sum(counts) for counts in (left, right))
    mean = (p + q) / 2
    found = (_relative(p, mean) + _relative(q, mean)) / 2
    return float(min(max(found, 0.0), 1.0))  # but for rounding, it is within


def _relative(
    p: np.ndarray[tuple[int], np.dtype[np.float64]],
    mean: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> float:
    there = p > 0
    return float((p[there] * np.log2(p[there] / mean[there])).sum())
