"""Shapes, paddings and sizes of a model as the fields of steps state them.

What writes programs, of float models and of quantized ones alike, takes these.
"""

from __future__ import annotations

import numpy as np

from smidgen.program.shapes import Shape
from smidgen.program.steps import IntPair, Padding


def requested_shape(shape: Shape) -> tuple[int, ...]:
    """Returns a shape as Reshape and Expand take it: only the batch is unknown, and it stays.

    >>> requested_shape((None, 3, 4))
    (0, 3, 4)
    """
    return tuple(0 if extent is None else extent for extent in shape)


def both_ends(padding: IntPair) -> Padding:
    """Returns a padding that is the same at both ends as top, left, bottom and right.

    >>> both_ends((1, 2))
    (1, 2, 1, 2)
    """
    return (*padding, *padding)


def reached_padding(
    source: Shape,
    result: Shape,
    *,
    kernel: IntPair,
    stride: IntPair,
    padding: IntPair,
    dilation: IntPair,
) -> Padding:
    """Returns the padding of windows that make `result` [N, C, OH, OW] of `source` [N, C, H, W].

    A pool that rounds its extent up reads past the end, which is padding at bottom and right.

    >>> pool = {"kernel": (3, 3), "stride": (2, 2), "padding": (0, 1), "dilation": (1, 1)}
    >>> reached_padding((None, 1, 6, 7), (None, 1, 3, 4), **pool)
    (0, 1, 1, 1)
    """
    ends = []
    for axis in (0, 1):
        extent, count = source[axis + 2] or 1, result[axis + 2] or 1
        reached = (count - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        ends.append(max(padding[axis], reached - extent - padding[axis]))
    return (*padding, ends[0], ends[1])


def pixel_ratio(extent: int, size: int, scale: float | None, *, align_corners: bool) -> float:
    """Returns the pixels of an image for each of its resized one, in float32 as torch has them.

    Args:
        extent: Pixels along an axis.
        size: Pixels along it after resizing.
        scale: The growth that was asked for, or None if the size was.
        align_corners: Whether the outermost pixels' centres stay where they are.

    >>> pixel_ratio(4, 7, None, align_corners=True)
    0.5
    """
    if align_corners:
        return float(np.float32(extent - 1) / np.float32(size - 1)) if size > 1 else 0.0
    if scale is not None:
        return float(np.float32(1.0 / scale))
    return float(np.float32(extent) / np.float32(size))
