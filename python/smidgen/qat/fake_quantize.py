"""Fake quantization: quantize and dequantize in float, with a straight-through gradient.

The forward values equal those of smidgen.functional bit for bit, so that a trained model computes
what its converted program computes.
"""

from __future__ import annotations

import torch
from torch import nn

from smidgen.errors import TrainingError
from smidgen.observers import MovingAverageObserver
from smidgen.profile import ActivationRange
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE, UINT8_MAX, WEIGHT_QMAX, QParams

AVERAGING_CONSTANT = 0.05
"""Weight of a training batch in the moving average of a range that calibration has begun."""


class _RoundInRange(torch.autograd.Function):
    """clamp(round(t), low, high); the gradient is 1 where low <= t <= high and 0 elsewhere."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, t: torch.Tensor, low: float, high: float
    ) -> torch.Tensor:
        """Rounds half to even; NaN becomes low."""
        bounded = torch.where(t > low, t, low).clamp_(max=high)
        ctx.save_for_backward(bounded == t)
        return bounded.round_()

    @staticmethod
    def backward(
        ctx: torch.autograd.function.BackwardCFunction, gradient: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        """Passes the gradient through, as if rounding changed nothing."""
        (is_inside,) = ctx.saved_tensors
        return gradient * is_inside, None, None


def _round_in_range(t: torch.Tensor, low: float, high: float) -> torch.Tensor:
    rounded: torch.Tensor = _RoundInRange.apply(t, low, high)  # type: ignore[no-untyped-call]  # torch has no type for it
    return rounded


def fake_quantize(x: torch.Tensor, scale: float, zero_point: int) -> torch.Tensor:
    """Rounds float32 values to those that uint8 with this scale and zero point can hold.

    Equals functional.dequantize(functional.quantize(x)); the gradient reaches x inside the range.
    """
    # A tensor, because division by a Python number may be done in another precision.
    divisor = torch.tensor(scale, dtype=torch.float32)
    low, high = float(-zero_point), float(UINT8_MAX - zero_point)
    return _round_in_range(x / divisor, low, high) * divisor


def weight_scales(weight: torch.Tensor) -> torch.Tensor:
    """Returns qparams.symmetric_weight_scales(weight): [O] float32, constant to the gradient."""
    largest = weight.detach().flatten(1).abs().amax(dim=1).double()
    scales = (largest / WEIGHT_QMAX).clamp(SMALLEST_SCALE, LARGEST_SCALE)
    return torch.where(largest == 0.0, 1.0, scales).float()


def fake_quantize_weight(weight: torch.Tensor, scales: torch.Tensor | None = None) -> torch.Tensor:
    """Rounds weights [O, ...] to those that int8 with one scale for each output channel can hold.

    Equals functional.quantize_weight times the scales, which are weight_scales(weight) if None.
    """
    if scales is None:
        scales = weight_scales(weight)
    scales = scales.reshape(-1, *([1] * (weight.dim() - 1)))
    limit = float(WEIGHT_QMAX)
    return _round_in_range(weight / scales, -limit, limit) * scales


class FakeQuantize(nn.Module):
    """Fake-quantizes an activation; in train mode it follows the range, in eval mode it keeps it.

    Attributes:
        ends: Buffer [2] float64, the range [low, high]; what a state dict keeps.
    """

    ends: torch.Tensor

    def __init__(self, start: ActivationRange) -> None:
        super().__init__()
        self.register_buffer("ends", torch.tensor([start.low, start.high], dtype=torch.float64))

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
        """Returns x as uint8 would hold it, in float32."""
        if self.training:
            self._observe(x)
        qparams = self.qparams
        return fake_quantize(x, qparams.scale, qparams.zero_point)

    def _observe(self, x: torch.Tensor) -> None:
        observer = MovingAverageObserver(AVERAGING_CONSTANT, start=self.range)
        observer.observe(x)
        moved = torch.tensor([observer.range.low, observer.range.high], dtype=torch.float64)
        if not bool(torch.isfinite(moved).all()):
            raise TrainingError(
                "an activation is no longer finite during training; lower the learning rate"
            )
        self.ends.copy_(moved)


class Requantize(nn.Module):
    """Rounds values that lie between those of a fake-quantized activation, at its range.

    It has no state of its own: the activation's FakeQuantize keeps the range.
    """

    def __init__(self, source: FakeQuantize) -> None:
        super().__init__()
        self._source = (source,)  # within a tuple, so that the state is not kept twice

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns x as uint8 would hold it, in float32."""
        qparams = self._source[0].qparams
        return fake_quantize(x, qparams.scale, qparams.zero_point)
