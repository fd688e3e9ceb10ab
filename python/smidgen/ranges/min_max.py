"""The range from the smallest to the largest value seen."""

from __future__ import annotations

from smidgen.activation_range import ActivationRange
from smidgen.statistics import ActivationStatistics


def min_max_range(found: ActivationStatistics) -> ActivationRange:
    """Returns the exact ends; nothing is clipped."""
    return ActivationRange(low=found.low, high=found.high)
