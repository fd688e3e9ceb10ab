"""The values that a layer's quantized weights can take, and how they are chosen. Needs no torch.

An int8 weight is q * scale[o] with q in [-127, 127]. An int4 weight is q * m * scale[o] with q in
[-7, 7] and a multiplier m of its group, so that q * m is an int8 weight and runs as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.config.precision import LayerPrecision, WeightBits
from smidgen.qparams import (
    INT4_QMAX,
    LARGEST_MULTIPLIER,
    LARGEST_SCALE,
    WEIGHT_QMAX,
    symmetric_weight_scales,
)

LARGEST_BIAS = 2.0**30
"""Where a quantized bias ends, so that half of int32 is left for the products."""

FINEST_QMAX = INT4_QMAX * LARGEST_MULTIPLIER

_COUNTED_AT_A_TIME = 1 << 16
"""Weights that are counted at once: their histograms stay in the second-level cache."""


@dataclass(frozen=True, slots=True)
class WeightGrid:
    """What the weights of one layer are rounded to.

    Attributes:
        scale: [O] float32.
        multiplier: [O, G] uint8, one for each group of consecutive weights of a channel.
        group_size: Weights in a group; the last group of a channel may be shorter.
        limit: Largest q.
    """

    scale: NDArray[np.float32]
    multiplier: NDArray[np.uint8]
    group_size: int
    limit: int

    def spread_multiplier(self, count: int) -> NDArray[np.float32]:
        """Returns the multiplier of each weight of a channel of `count`: [O, count] or [O, 1]."""
        multiplier = self.multiplier.astype(np.float32)
        if multiplier.shape[1] == 1:
            return multiplier
        return np.repeat(multiplier, self.group_size, axis=1)[:, :count]

    def quantize(self, weight: NDArray[np.float32]) -> NDArray[np.int8]:
        """Rounds weights [O, ...] to m * clamp(round(w / fl(m * scale)), -limit, limit), int8."""
        rows = weight.reshape(len(weight), -1)
        multiplier = self.spread_multiplier(rows.shape[1])
        step = multiplier * self.scale[:, None]
        rounded = np.clip(np.rint(rows / step), -self.limit, self.limit)
        return (rounded * multiplier).astype(np.int8).reshape(weight.shape)


def weight_grid(
    weight: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    input_scale: float | None,
    precision: LayerPrecision,
) -> WeightGrid:
    """Chooses the grid of a layer's weights.

    The finest int4 grid of a channel ends at its largest weight. Of its multiples each group takes
    the one with the least squared error, which may clip large weights for the sake of small ones.
    A channel that is one group has the multiple in its scale.

    Args:
        weight: [O, ...].
        bias: [O]; None for no bias, or for one that stays float.
        input_scale: Scale of what the layer reads; None where rows have scales of their own.
        precision: Bits and groups.
    """
    rows = weight.reshape(len(weight), -1)
    if precision.weights is WeightBits.INT8:
        scale = with_room_for_bias(symmetric_weight_scales(rows), bias, input_scale)
        ones = np.ones((len(rows), 1), np.uint8)
        return WeightGrid(scale, ones, rows.shape[1], WEIGHT_QMAX)
    finest = symmetric_weight_scales(rows, largest=FINEST_QMAX)
    scale = with_room_for_bias(finest, bias, input_scale)
    group_size = precision.group_size or rows.shape[1]
    multiplier = _best_multipliers(rows, scale, group_size)
    if precision.group_size == 0:
        scale = np.minimum(scale * multiplier[:, 0], np.float32(LARGEST_SCALE))
        multiplier = np.ones_like(multiplier)
    return WeightGrid(scale, multiplier, group_size, INT4_QMAX)


def with_room_for_bias(
    scale: NDArray[np.float32], bias: NDArray[np.float32] | None, input_scale: float | None
) -> NDArray[np.float32]:
    """Widens the scale of channels whose bias would not fit into int32.

    Such a channel has next to no weights, as batch norm leaves it when it has learned to ignore a
    filter: its output is its bias, and coarser weights do not change it visibly.

    Shapes: scale [O], bias [O]. Returns [O] float32.
    """
    if bias is None or input_scale is None:
        return scale
    needed = np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
    return np.minimum(np.maximum(scale, needed), LARGEST_SCALE).astype(np.float32)


def _best_multipliers(
    rows: NDArray[np.float32], finest: NDArray[np.float32], group_size: int
) -> NDArray[np.uint8]:
    """Returns for each group the multiple of the finest grid with the least squared error.

    Errors are counted on weights that are rounded to the finest grid: there are 127 magnitudes, so
    that a histogram of each group gives the error of all multiples, and sums of integers are the
    same in any order. Of equal errors the smallest multiple counts.

    Shapes: rows [O, K], finest [O]. Returns [O, G] uint8.
    """
    count = -(-rows.shape[1] // group_size)
    at_a_time = max(1, _COUNTED_AT_A_TIME // (count * max(group_size, FINEST_QMAX + 1)))
    parts = [
        _best_of(rows[start : start + at_a_time], finest[start : start + at_a_time], group_size)
        for start in range(0, len(rows), at_a_time)
    ]
    return np.concatenate(parts).reshape(len(rows), count)


def _best_of(
    rows: NDArray[np.float32], finest: NDArray[np.float32], group_size: int
) -> NDArray[np.uint8]:
    levels = np.rint(np.abs(rows) / finest[:, None])
    # A NaN, which training may bring before it is stopped, fails the comparison.
    levels = np.where(levels < FINEST_QMAX, levels, FINEST_QMAX).astype(np.int64)
    of_column = np.arange(rows.shape[1]) // group_size
    groups = np.arange(len(rows))[:, None] * (of_column[-1] + 1) + of_column
    bins, total = FINEST_QMAX + 1, len(rows) * int(of_column[-1] + 1)
    counts = np.bincount((groups * bins + levels).ravel(), minlength=total * bins)
    errors = counts.reshape(total, bins).astype(np.float64) @ _SQUARED_ERRORS
    best: NDArray[np.uint8] = (np.argmin(errors, axis=1) + 1).astype(np.uint8)
    return best


def _squared_errors() -> NDArray[np.float64]:
    """Returns the squared error of each magnitude at each multiplier: [127, 18]."""
    level = np.arange(FINEST_QMAX + 1, dtype=np.float64)[:, None]
    multiplier = np.arange(1, LARGEST_MULTIPLIER + 1, dtype=np.float64)[None, :]
    nearest = multiplier * np.minimum(np.rint(level / multiplier), INT4_QMAX)
    return np.square(level - nearest)


_SQUARED_ERRORS = _squared_errors()
