"""The range with the least mean squared error of quantized values.

Clipping more makes the steps finer and the clipped values worse. A value rounded to steps of s has
the mean squared error s^2 / 12; one that is rounded to 0 has its own square, and a clipped one the
square of its distance from the range.
Source: Sakr et al. 2022, "Optimal Clipping and Magnitude-aware Differentiation for Improved
Quantization-aware Training", for the trade; solved here by search over a histogram.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.activation_range import ActivationRange
from smidgen.qparams import UINT8_MAX
from smidgen.ranges.candidates import high_candidates, low_candidates
from smidgen.statistics import ActivationStatistics

CANDIDATES = 128

Numbers = NDArray[np.float64]


def squared_error_range(found: ActivationStatistics) -> ActivationRange:
    """Returns the best range of at most CANDIDATES ends on either side; the widest of equals."""
    low, high = low_candidates(found, CANDIDATES), high_candidates(found, CANDIDATES)
    errors = squared_errors(found, low[:, None], high[None, :])
    row, column = np.unravel_index(int(np.argmin(errors)), errors.shape)
    return ActivationRange(low=float(low[row]), high=float(high[column]))


def squared_errors(found: ActivationStatistics, low: Numbers, high: Numbers) -> Numbers:
    """Estimates the sum of squared errors that ranges would make.

    Shapes: low and high are broadcast against each other; returns their common shape. A range
    that is 0 alone has an infinite error.
    """
    low, high = np.broadcast_arrays(np.minimum(low, 0.0), np.maximum(high, 0.0))
    moments = _Moments(found)
    step = (high - low) / UINT8_MAX
    clipped = moments.around(high, high, np.inf) + moments.around(low, -np.inf, low)
    rounded_to_0 = moments.around(0.0, np.maximum(-step / 2, low), np.minimum(step / 2, high))
    rounded = moments.count(low, high) - moments.count(
        np.maximum(-step / 2, low), np.minimum(step / 2, high)
    )
    errors = clipped + rounded_to_0 + rounded * step * step / 12
    return np.where(high > low, errors, np.inf)


class _Moments:
    """Sums over the values of a histogram between any two numbers; a cell counts by its middle."""

    def __init__(self, found: ActivationStatistics) -> None:
        histogram = found.histogram
        middles = histogram.edges[:-1] + histogram.width / 2
        # The first cell from 0 on holds the zeros that a ReLU leaves, often half of all values.
        middles[histogram.edges[:-1] == 0.0] = 0.0
        self._middles = middles
        counts = histogram.counts.astype(np.float64)
        powers = (counts, counts * middles, counts * middles * middles)
        self._sums = [np.concatenate([[0.0], np.cumsum(power)]) for power in powers]

    def count(self, low: Numbers, high: Numbers) -> Numbers:
        """Returns how many values lie in [low, high)."""
        return self._between(0, low, high)

    def around(
        self, center: Numbers | float, low: Numbers | float, high: Numbers | float
    ) -> Numbers:
        """Returns the sum of (value - center)^2 over values in [low, high)."""
        zeroth, first, second = (self._between(power, low, high) for power in range(3))
        # A difference of large numbers, which rounding may leave below 0.
        return np.maximum(second - 2 * center * first + center * center * zeroth, 0.0)

    def _between(self, power: int, low: Numbers | float, high: Numbers | float) -> Numbers:
        sums = self._sums[power]
        start = np.searchsorted(self._middles, low)
        stop = np.searchsorted(self._middles, high)
        between: Numbers = sums[stop] - sums[start]
        return between
