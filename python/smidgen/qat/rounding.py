"""Rounding of tensors to what integers can hold, with a straight-through gradient.

CPU tensors of float32 go through the engine's kernels: one pass forward, which also keeps one bit
a value, and one pass backward. All others go through torch, which gives the same numbers.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smidgen import _engine
from smidgen.passes.operators import UNBOUNDED, clamp
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE, UINT8_MAX, WEIGHT_QMAX, QParams

BITS_OF_BYTE = 8
INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Rounding:
    """Clamps and rounds: scale * clamp(round(clamp(x, *bounds) / scale), low, high).

    Rounds half to even; a NaN becomes scale * low. The gradient is 1 where neither clamp changes
    the value, and 0 elsewhere; if the bounds are those of a ReLU, it is 0 at 0 too.

    Attributes:
        scale: A positive float32 value.
        low: The smallest integer.
        high: The largest integer.
        bounds: Smallest and largest value before quantization; infinite where there is none.
    """

    scale: float
    low: float
    high: float
    bounds: tuple[float, float] = UNBOUNDED

    @classmethod
    def to_uint8(cls, qparams: QParams, bounds: tuple[float, float] = UNBOUNDED) -> Rounding:
        """Returns what quantizing and dequantizing an activation does."""
        low, high = float(-qparams.zero_point), float(UINT8_MAX - qparams.zero_point)
        return cls(qparams.scale, low, high, bounds)

    @property
    def blocked(self) -> float | None:
        """The value within the bounds whose gradient does not pass."""
        return 0.0 if self.bounds == (0.0, math.inf) else None


def round_activation(
    x: torch.Tensor, rounding: Rounding, *, overwrites: bool = False
) -> torch.Tensor:
    """Rounds a tensor of any shape.

    Args:
        x: What to round.
        rounding: How.
        overwrites: Whether the values may take the place of those of x, which nobody then may read
            any more, its own backward pass included.
    """
    if not _is_for_kernels(x):
        # A tensor, because division by a Python number may be done in another precision.
        scale = torch.tensor(rounding.scale, dtype=torch.float32, device=x.device)
        limits = (rounding.low, rounding.high)
        return _round_by_torch(clamp(x, *rounding.bounds), scale, limits)
    rounded: torch.Tensor = _RoundActivation.apply(x, rounding, overwrites)  # type: ignore[no-untyped-call]  # torch has no type for it
    return rounded


def round_weight(
    weight: torch.Tensor,
    factor: torch.Tensor | None = None,
    least_scales: torch.Tensor | None = None,
) -> torch.Tensor:
    """Rounds weights [O, ...] to int8 at the scales of weight_scales.

    Args:
        weight: What to round.
        factor: [O]; what each output channel is multiplied by before, and divided by after, but
            for 0. A part of the grid, as the scales are: constant to the gradient.
        least_scales: [O] float64; scales that are smaller are widened to these, as far as scales
            go. Few layers have such, and those go through torch.
    """
    return round_weight_with_scales(weight, factor, least_scales)[0]


def round_weight_with_scales(
    weight: torch.Tensor,
    factor: torch.Tensor | None = None,
    least_scales: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns what round_weight does, and the scales: [O] float32, constant to the gradient."""
    factor = None if factor is None else factor.detach()
    if not _is_for_kernels(weight) or weight.numel() == 0:
        return _round_weight_by_torch(weight, factor, least_scales)
    rounded, scales = _RoundWeight.apply(weight, factor)  # type: ignore[no-untyped-call]  # torch has no type for it
    if least_scales is not None and bool((scales.double() < least_scales).any()):
        return _round_weight_by_torch(weight, factor, least_scales)
    return rounded, scales


def round_bias(bias: torch.Tensor, input_scale: float, weight_scales: torch.Tensor) -> torch.Tensor:
    """Rounds a bias to the integers of functional.quantize_bias; the gradient passes through.

    Shapes: bias [O], weight_scales [O] float32. Returns [O].
    """
    rounded: torch.Tensor = _RoundBias.apply(bias, input_scale, weight_scales)  # type: ignore[no-untyped-call]  # torch has no type for it
    return rounded


def weight_scales(weight: torch.Tensor) -> torch.Tensor:
    """Returns qparams.symmetric_weight_scales(weight): [O] float32, constant to the gradient."""
    largest = weight.detach().flatten(1).abs().amax(dim=1).double()
    scales = (largest / WEIGHT_QMAX).clamp(SMALLEST_SCALE, LARGEST_SCALE)
    return torch.where(largest == 0.0, 1.0, scales).float()


def value_range(x: torch.Tensor) -> tuple[float, float]:
    """Returns the smallest and the largest value, both NaN if there is a NaN; x is not empty."""
    values = x.detach()
    if not _is_for_kernels(x):
        low, high = torch.aminmax(values)
        return float(low), float(high)
    return _kernels().value_range(_array(_dense(values)), torch.get_num_threads())


class _RoundActivation(torch.autograd.Function):
    """round_activation by the engine."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, rounding: Rounding, overwrites: bool) -> torch.Tensor:
        """Writes the rounded values and keeps the bits."""
        dense = _dense(x)
        # To write over a view would be a matter of its base too.
        is_own = dense is x and not x._is_view()
        out = x if overwrites and is_own else torch.empty_like(dense)
        if out is x:
            ctx.mark_dirty(x)
        bits = torch.empty(_bit_bytes(x.numel()), dtype=torch.uint8)
        least, most = rounding.bounds
        _kernels().round(
            _array(dense),
            scale=rounding.scale,
            low=rounding.low,
            high=rounding.high,
            least=least,
            most=most,
            blocked=rounding.blocked,
            out=_array(out),
            bits=bits.numpy(),
            threads=torch.get_num_threads(),
        )
        ctx.save_for_backward(bits)
        ctx.is_channels_last = not dense.is_contiguous()
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Passes the gradient through, as if rounding changed nothing."""
        (bits,) = ctx.saved_tensors
        order = torch.channels_last if ctx.is_channels_last else torch.contiguous_format
        dense = gradient.contiguous(memory_format=order)
        out = torch.empty_like(dense)
        _kernels().pass_gradient(_array(dense), bits.numpy(), _array(out), torch.get_num_threads())
        return out, None, None


class _RoundWeight(torch.autograd.Function):
    """round_weight by the engine."""

    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, factor: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes the rounded values and the scales, and keeps the bits of each row."""
        dense = weight.contiguous()
        rows = len(weight)
        out = torch.empty_like(dense)
        scales = torch.empty(rows)
        bits = torch.empty(rows * _bit_bytes(weight.numel() // rows), dtype=torch.uint8)
        _kernels().round_weight(
            _array(dense),
            factors=None if factor is None else _array(factor.contiguous()),
            out=_array(out),
            bits=bits.numpy(),
            scales=scales.numpy(),
            threads=torch.get_num_threads(),
        )
        ctx.save_for_backward(bits)
        ctx.mark_non_differentiable(scales)
        return out, scales

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor, _scales: None) -> tuple[torch.Tensor, None]:
        """Passes the gradient through, as if rounding changed nothing."""
        (bits,) = ctx.saved_tensors
        dense = gradient.contiguous()
        out = torch.empty_like(dense)
        _kernels().pass_weight_gradient(
            _array(dense), bits.numpy(), _array(out), torch.get_num_threads()
        )
        return out, None


class _RoundBias(torch.autograd.Function):
    """round_bias: every bias keeps its gradient, as weight scales leave room for all of them."""

    @staticmethod
    def forward(
        _ctx: Any, bias: torch.Tensor, input_scale: float, weight_scales: torch.Tensor
    ) -> torch.Tensor:
        """Rounds half to even, in float64 as conversion does."""
        scales = weight_scales.double().mul_(input_scale)
        integers = (bias.double() / scales).round_().clamp_(-INT32_MAX, INT32_MAX)
        return integers.mul_(scales).to(bias.dtype)

    @staticmethod
    def backward(_ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Passes the gradient through."""
        return gradient, None, None


class _RoundByTorch(torch.autograd.Function):
    """clamp(round(x * factor / scale), low, high) * scale / factor; only x has a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        scale: torch.Tensor,
        limits: tuple[float, float],
        factor: torch.Tensor | None,
    ) -> torch.Tensor:
        """Rounds half to even; NaN becomes the lower limit."""
        low, high = limits
        quotient = (x if factor is None else x * factor) / scale
        bounded = torch.where(quotient > low, quotient, low).clamp_(max=high)
        ctx.save_for_backward(bounded == quotient)
        # Integers have one zero: adding 0 makes it that.
        rounded = bounded.round_().add_(0.0) * scale
        return rounded if factor is None else rounded / torch.where(factor == 0.0, 1.0, factor)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """Passes the gradient through, as if rounding changed nothing."""
        (is_inside,) = ctx.saved_tensors
        return gradient.masked_fill(~is_inside, 0.0), None, None, None


def _round_by_torch(
    x: torch.Tensor,
    scale: torch.Tensor,
    limits: tuple[float, float],
    factor: torch.Tensor | None = None,
) -> torch.Tensor:
    rounded: torch.Tensor = _RoundByTorch.apply(x, scale, limits, factor)  # type: ignore[no-untyped-call]  # torch has no type for it
    return rounded


def _round_weight_by_torch(
    weight: torch.Tensor, factor: torch.Tensor | None, least_scales: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    by_channel = (-1, *([1] * (weight.dim() - 1)))
    if factor is not None:
        factor = factor.reshape(by_channel)
    scales = weight_scales(weight if factor is None else weight * factor)
    if least_scales is not None:
        widened = torch.maximum(scales.double(), least_scales)
        scales = widened.clamp(max=LARGEST_SCALE).float()
    limit = float(WEIGHT_QMAX)
    limits = (-limit, limit)
    return _round_by_torch(weight, scales.reshape(by_channel), limits, factor), scales


@functools.cache
def _kernels() -> _engine.FakeQuantizer:
    return _engine.FakeQuantizer(isa=None)


def _is_for_kernels(x: torch.Tensor) -> bool:
    is_plain = type(x) in (torch.Tensor, torch.nn.Parameter)
    return is_plain and x.device.type == "cpu" and x.dtype is torch.float32


def _dense(x: torch.Tensor) -> torch.Tensor:
    """Returns x, or a copy where its values do not lie one after the other in some order."""
    is_channels_last = x.is_contiguous(memory_format=torch.channels_last) if x.dim() == 4 else False
    return x if is_channels_last else x.contiguous()


def _array(x: torch.Tensor) -> NDArray[np.float32]:
    """Returns the values of what _dense returned, in the order of memory, without a copy."""
    values = x.detach()
    array: NDArray[np.float32] = (
        values if x.is_contiguous() else values.permute(0, 2, 3, 1)
    ).numpy()
    return array


def _bit_bytes(count: int) -> int:
    return -(-count // BITS_OF_BYTE)
