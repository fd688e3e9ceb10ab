"""The range of one activation."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.qparams import QParams, has_scale, qparams_from_range


@dataclass(frozen=True, slots=True)
class ActivationRange:
    """Smallest and largest value of one activation, both finite, in order."""

    low: float
    high: float

    @property
    def has_scale(self) -> bool:
        """Whether uint8 can hold this range; if not, the activation stays in float."""
        return has_scale(self.low, self.high)

    @property
    def qparams(self) -> QParams:
        """The uint8 parameters that cover this range.

        Raises: CalibrationError: RANGE_NOT_REPRESENTABLE where there are none.
        """
        return qparams_from_range(self.low, self.high)
