"""The range from the smallest to the largest value seen."""

from __future__ import annotations

import math

import torch

from smidgen.profile import ActivationRange


class MinMaxObserver:
    """Keeps the smallest and the largest value; the order of batches does not matter."""

    def __init__(self) -> None:
        self._low = math.inf
        self._high = -math.inf

    def observe(self, values: torch.Tensor) -> None:
        """Widens the range to hold all values."""
        low, high = torch.aminmax(values.detach())
        self._widen(float(low), float(high))

    def merge(self, other: MinMaxObserver) -> None:
        """Takes over what another observer of the same activation has seen."""
        self._widen(other._low, other._high)

    @property
    def range(self) -> ActivationRange:
        """The smallest and the largest value seen."""
        return ActivationRange(low=self._low, high=self._high)

    def _widen(self, low: float, high: float) -> None:
        self._low, self._high = min(self._low, low), max(self._high, high)
