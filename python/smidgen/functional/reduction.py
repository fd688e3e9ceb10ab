"""Sums, means, extremes, softmax and layer norm, in an order that vectors can keep.

A sum of values x[0], x[1], ... has LANES partial sums, which begin at 0; x[i] is added to number
i modulo LANES, in the order of i. Then the upper half of the partial sums is added to the lower one
until one is left. Maximum and minimum go the same way. A vector of 16 floats, two of 8 and plain
code all do this without reordering anything.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from smidgen.functional import elementary
from smidgen.functional.types import F32, I64

LANES = 16

Combine = Callable[[F32, F32], F32]  # (value, what has been combined so far)


def _fold(x: F32, combine: Combine, start: float) -> F32:
    """Combines the last axis; start changes nothing when it is combined."""
    count = x.shape[-1]
    lanes = np.full((*x.shape[:-1], LANES), start, np.float32)
    for first in range(0, count, LANES):
        block = x[..., first : first + LANES]
        width = block.shape[-1]
        lanes[..., :width] = combine(block, lanes[..., :width])
    width = LANES
    while width > 1:
        width //= 2
        lanes = combine(lanes[..., width : 2 * width], lanes[..., :width])
    return lanes[..., 0]


def _sum(x: F32) -> F32:
    return _fold(x, lambda value, so_far: so_far + value, 0.0)


def _larger(value: F32, so_far: F32) -> F32:
    return np.where((value > so_far) | np.isnan(value), value, so_far)


def _smaller(value: F32, so_far: F32) -> F32:
    return np.where((value < so_far) | np.isnan(value), value, so_far)


def reduce(x: F32, function: str, axes: tuple[int, ...], *, keep_dims: bool) -> NDArray[np.generic]:
    """Reduces some axes, whose values count in row-major order.

    mean divides the sum by the count. A NaN makes maximum and minimum NaN. argmax (one axis, int64)
    gives the first place of the largest value, or of the first NaN.
    """
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    rows = x.transpose(*kept, *axes).reshape(*(x.shape[axis] for axis in kept), -1)
    with np.errstate(all="ignore"):
        values = _REDUCTIONS[function](rows)
    return np.expand_dims(values, axes) if keep_dims else values


def _mean(rows: F32) -> F32:
    return _sum(rows) / np.float32(rows.shape[-1])


def _maximum(rows: F32) -> F32:
    return _fold(rows, _larger, -np.inf)


def _minimum(rows: F32) -> F32:
    return _fold(rows, _smaller, np.inf)


def _argmax(rows: F32) -> I64:
    places: I64 = rows.argmax(axis=-1).astype(np.int64)
    return places


_REDUCTIONS: dict[str, Callable[[F32], NDArray[np.generic]]] = {
    "sum": _sum,
    "mean": _mean,
    "maximum": _maximum,
    "minimum": _minimum,
    "argmax": _argmax,
}


def softmax(x: F32, axis: int) -> F32:
    """fl(e * fl(1 / sum(e))) with e = exp(fl(x - max(x))); a NaN makes its whole row NaN.

    The maximum passes over NaN, as it is the sum that hands it on.
    """
    rows = np.moveaxis(x, axis, -1)
    with np.errstate(all="ignore"):
        largest = _fold(rows, elementary.maximum, -np.inf)[..., None]
        powers = elementary.exp(rows - largest)
        scaled = powers * (np.float32(1) / _sum(powers))[..., None]
    moved: F32 = np.moveaxis(scaled, -1, axis)
    return moved


def layer_norm(x: F32, epsilon: float, weight: F32 | None, bias: F32 | None) -> F32:
    """Normalizes rows along the last axis: fl(d * r), times weight, plus bias, each if given.

    d = fl(x - mean(x)), r = fl(1 / fl(sqrt(fl(mean(fl(d * d)) + epsilon)))).
    Shapes: weight and bias [D].
    """
    with np.errstate(all="ignore"):
        centred = x - _mean(x)[..., None]
        variance = _mean(centred * centred)
        spread = np.float32(1) / np.sqrt(variance + np.float32(epsilon))
        value = centred * spread[..., None]
        value = value if weight is None else value * weight
        shifted: F32 = value if bias is None else value + bias
    return shifted
