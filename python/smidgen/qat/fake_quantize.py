"""Fake quantization: quantize and dequantize in float, with a straight-through gradient.

The forward values equal those of smidgen.functional bit for bit, so that a trained model computes
what its converted program computes.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from smidgen.errors import TrainingError
from smidgen.observers import MovingAverageObserver
from smidgen.passes.operators import UNBOUNDED
from smidgen.profile import ActivationRange
from smidgen.qat.rounding import Rounding, round_activation, value_range
from smidgen.qparams import NARROWEST_RANGE, REPRESENTABLE_RANGES, QParams

AVERAGING_CONSTANT = 0.05
"""Weight of a training batch in the moving average of a range that calibration has begun."""


def fake_quantize(x: torch.Tensor, scale: float, zero_point: int) -> torch.Tensor:
    """Rounds float32 values to those that uint8 with this scale and zero point can hold.

    Equals functional.dequantize(functional.quantize(x)); the gradient reaches x inside the range.
    """
    return round_activation(x, Rounding.to_uint8(QParams(scale, zero_point)))


class FakeQuantize(nn.Module):
    """Fake-quantizes an activation; in train mode it follows the range, in eval mode it keeps it.

    Attributes:
        may_take_over: Whether this kind can clamp and write over what it is given.
        ends: Buffer [2] float64, the range [low, high]; what a state dict keeps.
        bounds: The clamp of the operator before, done here in the same pass; infinite for none.
        overwrites: Whether nobody but this module reads what it is given, neither in the forward
            nor in a backward pass, so that the result may take its place.
    """

    may_take_over: ClassVar[bool] = True
    ends: torch.Tensor

    def __init__(
        self,
        start: ActivationRange,
        *,
        bounds: tuple[float, float] = UNBOUNDED,
        overwrites: bool = False,
    ) -> None:
        super().__init__()
        self.register_buffer("ends", torch.tensor([start.low, start.high], dtype=torch.float64))
        self.bounds = bounds
        self.overwrites = overwrites

    @property
    def range(self) -> ActivationRange:
        """The range that is quantized."""
        low, high = self.ends.tolist()
        return ActivationRange(low=low, high=high)

    @property
    def qparams(self) -> QParams:
        """The parameters that cover the range."""
        return self.range.qparams

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns x, clamped to the bounds, as uint8 would hold it, in float32."""
        if self.training:
            self._observe(x)
        rounding = Rounding.to_uint8(self.qparams, self.bounds)
        return round_activation(x, rounding, overwrites=self.overwrites)

    def _observe(self, x: torch.Tensor) -> None:
        least, most = (float(np.float32(bound)) for bound in self.bounds)
        # This order of the operands keeps a NaN.
        low, high = (min(max(end, least), most) for end in value_range(x))
        observer = MovingAverageObserver(AVERAGING_CONSTANT, start=self.range)
        observer.follow(low, high)
        moved = observer.range
        if not (math.isfinite(moved.low) and math.isfinite(moved.high)):
            raise TrainingError(
                "an activation is no longer finite during training; lower the learning rate"
            )
        kept = _representable(moved)
        self.ends.copy_(torch.tensor([kept.low, kept.high], dtype=torch.float64))


def _representable(moved: ActivationRange) -> ActivationRange:
    """Returns a range that has a scale: activations that die shrink their range towards 0.

    Raises: TrainingError: the range is wider than any scale allows.
    """
    if moved.has_scale:
        return moved
    if max(moved.high, 0.0) - min(moved.low, 0.0) > NARROWEST_RANGE:
        raise TrainingError(
            f"an activation has reached the range [{moved.low:.7g}, {moved.high:.7g}] during "
            f"training, {REPRESENTABLE_RANGES}; lower the learning rate"
        )
    return ActivationRange(min(moved.low, 0.0), min(moved.low, 0.0) + NARROWEST_RANGE)


class Requantize(nn.Module):
    """Rounds values that lie between those of a fake-quantized activation, at its range.

    It has no state of its own: the activation's FakeQuantize keeps the range.
    """

    def __init__(self, source: FakeQuantize) -> None:
        super().__init__()
        self._source = (source,)  # within a tuple, so that the state is not kept twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns x as uint8 would hold it, in float32."""
        return round_activation(x, Rounding.to_uint8(self._source[0].qparams))
