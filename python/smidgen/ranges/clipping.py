"""How much a range clips."""

from __future__ import annotations

from smidgen.activation_range import ActivationRange
from smidgen.statistics import ActivationStatistics


def clipped_share(found: ActivationStatistics, chosen: ActivationRange) -> float:
    """Returns the share of the values outside a range, counted in whole cells.

    A range of one sign counts as reaching to 0, as its quantization parameters do.
    """
    histogram = found.histogram
    edges = histogram.edges
    low, high = min(chosen.low, 0.0), max(chosen.high, 0.0)
    outside = (edges[1:] <= low) | (edges[:-1] >= high)
    # The smallest and the largest value are not always within their cells' ends.
    outside[0] &= low > found.low
    outside[-1] &= high < found.high
    return float(histogram.counts[outside].sum()) / histogram.total
