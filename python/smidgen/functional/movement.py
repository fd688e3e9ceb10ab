"""Moving values of any type without changing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.functional.types import I64


def concatenate(parts: Sequence[NDArray[Any]], axis: int) -> NDArray[Any]:
    """Joins tensors of one type, and of equal scale and zero point, along an axis."""
    return np.concatenate(parts, axis=axis)


def expand(x: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Broadcasts x to a shape in which 0 keeps the extent at that place, counted from the end."""
    missing = len(shape) - x.ndim
    return np.broadcast_to(x, [x.shape[i - missing] if n == 0 else n for i, n in enumerate(shape)])


def pad(x: NDArray[Any], pads: Sequence[tuple[int, int]], value: float) -> NDArray[Any]:
    """Puts a value around x; pads: how many before and behind along each axis."""
    return np.pad(x, pads, constant_values=x.dtype.type(value))


def gather(x: NDArray[Any], indices: I64, axis: int) -> NDArray[Any]:
    """Takes the slices of x along an axis that indices name, each clamped to those that exist.

    Shapes: x [A, N, B] with N at the axis, indices [I]. Returns [A, I, B].
    """
    return np.take(x, np.clip(indices, 0, x.shape[axis] - 1), axis=axis)
