"""The exponential moving average of each batch's smallest and largest value."""

from __future__ import annotations

import torch

from smidgen.activation_range import ActivationRange


class MovingAverageObserver:
    """Follows the range of batches; single outliers fade.

    Attributes:
        averaging_constant: Weight of a new batch, in (0, 1]; the first batch counts whole.
    """

    def __init__(self, averaging_constant: float, *, start: ActivationRange | None = None) -> None:
        self.averaging_constant = averaging_constant
        self._range = start

    def observe(self, values: torch.Tensor) -> None:
        """Moves the range towards that of these values."""
        low, high = torch.aminmax(values.detach())
        self.follow(float(low), float(high))

    def follow(self, low: float, high: float) -> None:
        """Moves the range towards [low, high], the ends of one batch."""
        if self._range is not None:
            low = self._range.low + self.averaging_constant * (low - self._range.low)
            high = self._range.high + self.averaging_constant * (high - self._range.high)
        # Rounding may have swapped ends that lie a last bit apart.
        self._range = ActivationRange(low=low, high=max(low, high))

    @property
    def range(self) -> ActivationRange:
        """The average so far."""
        assert self._range is not None, "observe comes first"
        return self._range
