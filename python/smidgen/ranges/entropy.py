"""The range whose quantized values tell most of the distribution, by Kullback-Leibler divergence.

The values within a range are compared with what 256 levels leave of them: each level spreads its
values evenly over its cells that are not empty. Clipped values count as the outermost cells. The
cell from 0 on is left out: 0 is always exact, and the many zeros of a ReLU would outweigh the rest.
Ranges of fewer cells than levels tell everything about next to nothing and are not compared.
Source: Migacz 2017, "8-bit Inference with TensorRT", with a search for both ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.activation_range import ActivationRange
from smidgen.qparams import UINT8_MAX
from smidgen.ranges.candidates import high_candidates, low_candidates
from smidgen.statistics import ActivationStatistics

CANDIDATES = 64
ROUNDS = 3

Numbers = NDArray[np.float64]


def entropy_range(found: ActivationStatistics) -> ActivationRange:
    """Returns the best high end for the low one, then the best low end for that, until stable.

    At most CANDIDATES on either side are compared, in ROUNDS rounds; the widest of equals is best.
    """
    lows, highs = low_candidates(found, CANDIDATES), high_candidates(found, CANDIDATES)
    low, high = lows[0], highs[0]
    for _ in range(ROUNDS):
        before = low, high
        high = highs[_best(found, np.full_like(highs, low), highs)]
        low = lows[_best(found, lows, np.full_like(lows, high))]
        if (low, high) == before or 1 in (len(lows), len(highs)):
            break
    return ActivationRange(low=float(low), high=float(high))


def divergences(found: ActivationStatistics, low: Numbers, high: Numbers) -> Numbers:
    """Returns the divergence of each range.

    Shapes: low and high [K], edges of cells or the ends of all values. Returns [K] float64, in
    nats; infinite for a range without values.
    """
    histogram = found.histogram
    edges = histogram.edges
    middles = edges[:-1] + histogram.width / 2
    counts = np.where(edges[:-1] == 0.0, 0.0, histogram.counts)
    low, high = np.minimum(low, 0.0)[:, None], np.maximum(high, 0.0)[:, None]
    within = (edges[1:] > low) & (edges[:-1] < high)
    kept = np.where(within, counts, 0.0)
    clipped = _with_outliers(kept, counts, edges, low, high)
    step = np.where(high > low, high - low, 1.0) / UINT8_MAX
    levels = np.clip(np.rint((middles - low) / step), 0, UINT8_MAX).astype(np.intp)
    return _divergence(clipped, _leveled(kept, clipped > 0, levels))


def _best(found: ActivationStatistics, low: Numbers, high: Numbers) -> int:
    """Returns the number of the best range; the first one, the widest, needs no least width."""
    least = (UINT8_MAX + 1) * found.histogram.width
    is_wide = np.maximum(high, 0.0) - np.minimum(low, 0.0) >= least
    is_wide[0] = True
    return int(np.argmin(np.where(is_wide, divergences(found, low, high), np.inf)))


def _with_outliers(
    kept: Numbers, counts: Numbers, edges: Numbers, low: Numbers, high: Numbers
) -> Numbers:
    """Adds what lies outside to the first and the last cell inside. Shapes: [K, cells]."""
    clipped = kept.copy()
    rows = np.arange(len(kept))
    cells = len(counts)
    first = np.minimum(np.searchsorted(edges[1:], low[:, 0], side="right"), cells - 1)
    last = np.maximum(np.searchsorted(edges[:-1], high[:, 0], side="left") - 1, 0)
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    clipped[rows, first] += sums[first]
    clipped[rows, last] += sums[-1] - sums[last + 1]
    return clipped


def _leveled(kept: Numbers, filled: NDArray[np.bool_], levels: NDArray[np.intp]) -> Numbers:
    """Spreads the values of each level evenly over its cells that are filled."""
    count = UINT8_MAX + 1
    numbers = (levels + count * np.arange(len(kept))[:, None]).reshape(-1)
    size = count * len(kept)
    values = np.bincount(numbers, kept.reshape(-1), minlength=size)
    cells = np.bincount(numbers, filled.reshape(-1).astype(np.float64), minlength=size)
    mean = values / np.maximum(cells, 1.0)
    return np.where(filled, mean[numbers].reshape(kept.shape), 0.0)


def _divergence(clipped: Numbers, leveled: Numbers) -> Numbers:
    total = np.maximum(clipped.sum(axis=1, keepdims=True), 1.0)
    leveled_total = leveled.sum(axis=1, keepdims=True)
    share = clipped / total
    # Half a value stands for none, so that a cell of outliers alone costs much and not everything.
    other = np.maximum(leveled / np.maximum(leveled_total, 1.0), 0.5 / total)
    terms = np.where(clipped > 0, share * np.log(np.where(clipped > 0, share, 1.0) / other), 0.0)
    return np.where(leveled_total[:, 0] > 0, terms.sum(axis=1), np.inf)
