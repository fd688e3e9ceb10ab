"""The options of calibration."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from smidgen.config.checks import check_within


class ObserverMethod(enum.StrEnum):
    """How calibration estimates the range of an activation."""

    MIN_MAX = "min_max"
    MOVING_AVERAGE = "moving_average"


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How to calibrate.

    Attributes:
        method: How ranges are estimated.
        averaging_constant: Weight of a new batch in the moving average, in (0, 1].
    """

    method: ObserverMethod = ObserverMethod.MIN_MAX
    averaging_constant: float = 0.1

    def __post_init__(self) -> None:
        check_within("averaging_constant", self.averaging_constant, above=0.0, most=1.0)
