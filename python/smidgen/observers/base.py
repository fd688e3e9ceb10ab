"""What every observer can do."""

from __future__ import annotations

from typing import Protocol

import torch

from smidgen.profile import ActivationRange


class Observer(Protocol):
    """Estimates the range of one activation from batches, in memory of fixed size."""

    def observe(self, values: torch.Tensor) -> None:
        """Takes one batch of values, any shape, not empty."""

    @property
    def range(self) -> ActivationRange:
        """The estimate so far; at least one batch must have been observed."""
