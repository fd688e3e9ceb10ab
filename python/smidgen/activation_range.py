"""The range of one activation."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.qparams import QParams, qparams_from_range


@dataclass(frozen=True, slots=True)
class ActivationRange:
    """Smallest and largest value of one activation, both finite, in order."""

    low: float
    high: float

    @property
    def qparams(self) -> QParams:
        """The uint8 parameters that cover this range."""
        return qparams_from_range(self.low, self.high)
