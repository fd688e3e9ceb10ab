"""Arithmetic of the steps that give images another size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.functional.exact_products import BYTE_PRODUCT, exact_dtype, exact_product
from smidgen.functional.types import F32, I8, I32, I64, U8

WEIGHT_BITS = 11
"""Bits of a weight of bilinear interpolation: two weights and a value stay within int32."""


def convolve_transposed(
    x: U8,
    zero_point: int,
    weight: I8,
    bias: I32,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    output_padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> I32:
    """Accumulates a transposed convolution exactly: each x - zero_point times a window of weights.

    Shapes: x [N, C, H, W]; weight [C, O / groups, KH, KW]; bias [O]; padding, which is cut off, is
    (top, left, bottom, right). Returns [N, O, OH, OW] int32.
    """
    _, per_group, kernel_h, kernel_w = weight.shape
    images, channels, height, width = x.shape
    rows, columns = (height - 1) * stride[0] + 1, (width - 1) * stride[1] + 1
    top, left, bottom, right = padding
    whole_h = rows + dilation[0] * (kernel_h - 1) + output_padding[0]
    whole_w = columns + dilation[1] * (kernel_w - 1) + output_padding[1]
    group_channels = channels // groups
    # No pixel of the output meets a tap twice.
    dtype = exact_dtype(group_channels * kernel_h * kernel_w, BYTE_PRODUCT)
    centred = x.astype(dtype) - dtype.type(zero_point)
    grouped = centred.reshape(images, groups, group_channels, height * width)
    taps = weight.astype(dtype).reshape(groups, group_channels, per_group, kernel_h, kernel_w)
    acc = np.zeros((images, per_group * groups, whole_h, whole_w), dtype)
    for kh in range(kernel_h):
        for kw in range(kernel_w):
            first_row, first_column = kh * dilation[0], kw * dilation[1]
            product = exact_product(taps[..., kh, kw].swapaxes(1, 2), grouped)
            acc[
                :,
                :,
                first_row : first_row + rows : stride[0],
                first_column : first_column + columns : stride[1],
            ] += product.reshape(images, -1, height, width)
    cut = acc[:, :, top : whole_h - bottom, left : whole_w - right].astype(np.int64)
    return (cut + bias.astype(np.int64).reshape(1, -1, 1, 1)).astype(np.int32)


def convolution_weight(weight: NDArray[Any], groups: int) -> NDArray[Any]:
    """Returns the weights [C, O / groups, KH, KW] of a transposed convolution by output channel.

    Shapes: returns [O, C / groups, KH, KW].
    """
    channels, per_group, *kernel = weight.shape
    grouped = weight.reshape(groups, channels // groups, per_group, *kernel)
    return grouped.swapaxes(1, 2).reshape(groups * per_group, channels // groups, *kernel)


def resize_nearest(
    x: U8, size: tuple[int, int], ratio: tuple[float, float], *, is_exact: bool
) -> U8:
    """Takes the value at floor(i * ratio), or at floor((i + 0.5) * ratio) if exact.

    Shapes: x [N, C, H, W]. Returns [N, C, *size].
    """
    rows, columns = (
        nearest_places(count, step, extent, is_exact=is_exact)
        for count, step, extent in zip(size, ratio, x.shape[2:], strict=True)
    )
    return x[:, :, rows][:, :, :, columns]


def nearest_places(count: int, ratio: float, extent: int, *, is_exact: bool) -> I64:
    """Returns which pixel each of `count` ones of an output takes along an axis; see above."""
    places = np.floor(_places(count, ratio, 0.5 if is_exact else 0.0))
    return np.minimum(places, extent - 1).astype(np.int64)


def resize_bilinear(
    x: U8, size: tuple[int, int], ratio: tuple[float, float], *, align_corners: bool
) -> U8:
    """Interpolates: (sum of four values times weights + 2^21) >> 22, in integers.

    Shapes: x [N, C, H, W]. Returns [N, C, *size].
    """
    (top, bottom, below), (left, right, behind) = (
        _interpolation(count, step, extent, align_corners=align_corners)
        for count, step, extent in zip(size, ratio, x.shape[2:], strict=True)
    )
    whole, half = 1 << WEIGHT_BITS, 1 << (2 * WEIGHT_BITS - 1)
    lines = x.astype(np.int32)
    across: I32 = lines[..., left] * (whole - behind) + lines[..., right] * behind
    weights = below.reshape(-1, 1)
    total: I32 = across[:, :, top] * (whole - weights) + across[:, :, bottom] * weights
    return ((total + half) >> (2 * WEIGHT_BITS)).astype(np.uint8)


def _places(count: int, ratio: float, shift: float) -> F32:
    """Returns fl(fl(i + shift) * ratio) for the pixels i of the output."""
    pixels = np.arange(count, dtype=np.float32) + np.float32(shift)
    with np.errstate(over="ignore"):  # infinities end at the last pixel
        return pixels * np.float32(ratio)


def neighbours(
    count: int, ratio: float, extent: int, *, align_corners: bool
) -> tuple[I32, I32, F32]:
    """Returns the pixels on both sides of each output pixel, and the share of the second."""
    place = _places(count, ratio, 0.0 if align_corners else 0.5)
    if not align_corners:
        place = np.maximum(place - np.float32(0.5), np.float32(0.0))
    first = np.minimum(np.floor(place), extent - 1).astype(np.int32)
    share = np.minimum(place - first.astype(np.float32), np.float32(1.0))
    return first, np.minimum(first + 1, extent - 1).astype(np.int32), share


def _interpolation(
    count: int, ratio: float, extent: int, *, align_corners: bool
) -> tuple[I32, I32, I32]:
    """Returns the pixels on both sides of each output pixel, and the weight of the second."""
    first, second, share = neighbours(count, ratio, extent, align_corners=align_corners)
    return first, second, np.rint(share * np.float32(1 << WEIGHT_BITS)).astype(np.int32)
