"""Modules that torch.nn lacks."""

from __future__ import annotations

import torch
from torch import nn


class Clamp(nn.Module):
    """min(max(x, minimum), maximum), where a bound of None does not bound."""

    def __init__(self, minimum: float | None, maximum: float | None) -> None:
        super().__init__()
        self.minimum = minimum
        self.maximum = maximum

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the bounds to every element."""
        return torch.clamp(x, self.minimum, self.maximum)

    def extra_repr(self) -> str:
        """Describes the bounds."""
        return f"minimum={self.minimum}, maximum={self.maximum}"
