"""Modules that torch.nn lacks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from smidgen.graph.operations import OpKind


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


class Function(nn.Module):
    """A function of one number by its kind, for those that torch.nn has no module for."""

    def __init__(self, kind: OpKind) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the function to every element."""
        return _FUNCTIONS[self.kind](x)


class LastAxisBatchNorm(nn.BatchNorm1d):
    """Batch normalization of [N, k, C] by statistics over both axes in front."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalizes each of the C channels."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class Pow(nn.Module):
    """x to the power of a constant."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the power to every element."""
        return torch.pow(x, self.exponent)


class Affine(nn.Module):
    """factor * x + offset."""

    def __init__(self, factor: float, offset: float) -> None:
        super().__init__()
        self.factor = factor
        self.offset = offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Applies the line to every element."""
        return x * self.factor + self.offset


class ScaledDotProductAttention(nn.Module):
    """softmax(q @ k.T * scale + mask) @ v; see operations.ScaledDotProductAttention."""

    def __init__(self, scale: float, *, is_causal: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.is_causal = is_causal

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Maps [N, H, S, D] to the same shape."""
        return functional.scaled_dot_product_attention(
            query, key, value, mask, is_causal=self.is_causal, scale=self.scale
        )


class Attention(nn.Module):
    """Attention from and to rows of all heads: what one integer step computes.

    Attributes:
        heads: Number of heads, of which each has its own features.
        scale: What the products of queries and keys are multiplied by.
    """

    def __init__(self, heads: int, scale: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = scale

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Maps [N, S, features] to the same shape; the mask broadcasts to [N, 1, S, S]."""
        split = [x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in (query, key, value)]
        result = functional.scaled_dot_product_attention(
            split[0], split[1], split[2], mask, scale=self.scale
        )
        return result.transpose(1, 2).flatten(2)


class Resize(nn.Module):
    """Images of another size; see operations.Resize."""

    def __init__(
        self,
        mode: str,
        size: tuple[int, int],
        scales: tuple[float, float] | None,
        *,
        align_corners: bool,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.size = size
        self.scales = scales
        self.align_corners = align_corners

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps [N, C, H, W] to [N, C, *size]."""
        size, scales = list(self.size), self.scales or (None, None)
        resized: torch.Tensor
        if self.mode == "bilinear":
            resized = torch.ops.aten.upsample_bilinear2d(x, size, self.align_corners, *scales)
        elif self.mode == "nearest":
            resized = torch.ops.aten.upsample_nearest2d(x, size, *scales)
        else:
            resized = torch.ops.aten._upsample_nearest_exact2d(x, size, *scales)
        return resized


class Pad(nn.Module):
    """One number put around a tensor; see operations.Pad."""

    def __init__(self, pads: tuple[tuple[int, int], ...], value: float) -> None:
        super().__init__()
        self.pads = pads
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pads all axes."""
        # torch counts from the last axis on.
        amounts = [amount for pair in reversed(self.pads) for amount in pair]
        return functional.pad(x, amounts, value=self.value)


class Cast(nn.Module):
    """Another element type."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Converts every element."""
        return x.to(_TORCH_DTYPES[self.dtype])


class Compare(nn.Module):
    """A comparison of two tensors: eq, ne, lt, le, gt or ge."""

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function

    def forward(self, lhs: torch.Tensor, rhs: torch.Tensor) -> torch.Tensor:
        """Returns a bool for each pair of elements."""
        return _COMPARISONS[self.function](lhs, rhs)


class Reduce(nn.Module):
    """Sum, mean, maximum or minimum over axes, or the place of the maximum along one."""

    def __init__(self, function: str, axes: tuple[int, ...], *, keep_dims: bool) -> None:
        super().__init__()
        self.function = function
        self.axes = axes
        self.keep_dims = keep_dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduces the axes."""
        if self.function == "argmax":
            return torch.argmax(x, dim=self.axes[0], keepdim=self.keep_dims)
        return _REDUCTIONS[self.function](x, dim=self.axes, keepdim=self.keep_dims)


class Transpose(nn.Module):
    """Permutes axes."""

    def __init__(self, permutation: tuple[int, ...]) -> None:
        super().__init__()
        self.permutation = permutation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns a view with the axes in their new order."""
        return x.permute(self.permutation)


class Slice(nn.Module):
    """Every step-th element of an axis from start, included, to stop, excluded."""

    def __init__(self, axis: int, start: int, stop: int, step: int) -> None:
        super().__init__()
        self.axis = axis
        self.start = start
        self.stop = stop
        self.step = step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns a view of the elements."""
        return x[(slice(None),) * self.axis + (slice(self.start, self.stop, self.step),)]


def square_root(x: torch.Tensor) -> torch.Tensor:
    """Returns the square root, whose slope at 0 is 0 here.

    Norms end with it. At a vector of zeros, which quantization makes of small ones, its own slope
    is infinite and that of the sum of squares 0, so that training would go on with NaN; torch's
    norms have the slope 0 there.
    """
    is_zero = x == 0
    return torch.where(is_zero, x.detach(), torch.sqrt(torch.where(is_zero, 1.0, x)))


_FUNCTIONS: dict[OpKind, Callable[[torch.Tensor], torch.Tensor]] = {
    OpKind.SQRT: square_root,
    OpKind.NEG: torch.neg,
    OpKind.ABS: torch.abs,
    OpKind.EXP: torch.exp,
    OpKind.LOG: torch.log,
    OpKind.RSQRT: torch.rsqrt,
    OpKind.RECIPROCAL: torch.reciprocal,
    OpKind.ERF: torch.erf,
    OpKind.MISH: functional.mish,
    OpKind.SOFTPLUS: functional.softplus,
    OpKind.SIN: torch.sin,
    OpKind.COS: torch.cos,
    OpKind.FLOOR: torch.floor,
    OpKind.ROUND: torch.round,
}
_REDUCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "maximum": torch.amax,
    "minimum": torch.amin,
}
_TORCH_DTYPES = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}
_COMPARISONS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
}
