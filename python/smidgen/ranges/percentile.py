"""The range that leaves out a small share of the values at either end."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from smidgen.activation_range import ActivationRange
from smidgen.statistics import ActivationStatistics


def percentile_range(found: ActivationStatistics, percentile: float) -> ActivationRange:
    """Returns the narrowest range of whole cells that clips few values at each end.

    Args:
        found: The distribution.
        percentile: Percent of all values that are not clipped at one end, above 50 to 100.
    """
    histogram = found.histogram
    # Exact, because a count may be on the edge; the decimal digits are what was meant.
    share = 1 - Fraction(str(percentile)) / 100
    most = math.floor(histogram.total * share)
    below = np.concatenate([[0], np.cumsum(histogram.counts)])
    above = histogram.total - below
    edges = histogram.edges
    first = int(np.searchsorted(below, most, side="right")) - 1
    last = len(above) - int(np.searchsorted(above[::-1], most, side="right"))
    return ActivationRange(
        low=max(float(edges[first]), found.low), high=min(float(edges[last]), found.high)
    )
