"""Modules that torch.nn lacks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


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
    """Sum, mean or maximum over axes."""

    def __init__(self, function: str, axes: tuple[int, ...], *, keep_dims: bool) -> None:
        super().__init__()
        self.function = function
        self.axes = axes
        self.keep_dims = keep_dims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Reduces the axes."""
        if self.function == "maximum":
            return torch.amax(x, dim=self.axes, keepdim=self.keep_dims)
        reduce = torch.sum if self.function == "sum" else torch.mean
        return reduce(x, dim=self.axes, keepdim=self.keep_dims)


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


_TORCH_DTYPES = {"float32": torch.float32, "int64": torch.int64, "bool": torch.bool}
_COMPARISONS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "eq": torch.eq,
    "ne": torch.ne,
    "lt": torch.lt,
    "le": torch.le,
    "gt": torch.gt,
    "ge": torch.ge,
}
