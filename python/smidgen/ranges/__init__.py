"""Ways to choose an activation's range from the distribution of its values, one a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smidgen.activation_range import ActivationRange
from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.ranges.entropy import entropy_range
from smidgen.ranges.min_max import min_max_range
from smidgen.ranges.percentile import percentile_range
from smidgen.ranges.squared_error import squared_error_range
from smidgen.statistics import ActivationStatistics

__all__ = ["CHOICES", "choose_range"]

CHOICES: Mapping[
    ObserverMethod, Callable[[ActivationStatistics, CalibrationConfig], ActivationRange]
] = {
    ObserverMethod.MIN_MAX: lambda found, _: min_max_range(found),
    ObserverMethod.PERCENTILE: lambda found, config: percentile_range(found, config.percentile),
    ObserverMethod.ENTROPY: lambda found, _: entropy_range(found),
    ObserverMethod.SQUARED_ERROR: lambda found, _: squared_error_range(found),
}
"""All methods but the moving average, which depends on the order of batches."""


def choose_range(found: ActivationStatistics, config: CalibrationConfig) -> ActivationRange:
    """Chooses a range by the configured method, which is one of CHOICES."""
    return CHOICES[config.method](found, config)
