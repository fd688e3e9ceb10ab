"""The options of calibration."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smidgen.config.checks import check_applies, check_within

DEFAULT_AVERAGING_CONSTANT = 0.1
DEFAULT_PERCENTILE = 99.99


class ObserverMethod(enum.StrEnum):
    """How calibration estimates the range of an activation.

    MIN_MAX: the smallest and the largest value. MOVING_AVERAGE: that of each batch, averaged.
    PERCENTILE: without a small share of the values at either end. ENTROPY: the range whose 256
    levels tell most of the distribution. SQUARED_ERROR: that with the least mean squared error.
    """

    MIN_MAX = "min_max"
    MOVING_AVERAGE = "moving_average"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"
    SQUARED_ERROR = "squared_error"


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How to calibrate.

    What belongs to another method keeps its default, or is refused.

    Attributes:
        method: How ranges are estimated.
        averaging_constant: Weight of a new batch in the moving average, in (0, 1].
        percentile: Percent of the values that PERCENTILE does not clip at one end, in (50, 100].
    """

    method: ObserverMethod = ObserverMethod.MIN_MAX
    averaging_constant: float = DEFAULT_AVERAGING_CONSTANT
    percentile: float = DEFAULT_PERCENTILE

    def __post_init__(self) -> None:
        check_within("averaging_constant", self.averaging_constant, above=0.0, most=1.0)
        check_within("percentile", self.percentile, above=50.0, most=100.0)
        check_applies(
            "averaging_constant",
            self.averaging_constant,
            default=DEFAULT_AVERAGING_CONSTANT,
            applies=self.method is ObserverMethod.MOVING_AVERAGE,
            needs="the method moving_average",
        )
        check_applies(
            "percentile",
            self.percentile,
            default=DEFAULT_PERCENTILE,
            applies=self.method is ObserverMethod.PERCENTILE,
            needs="the method percentile",
        )
