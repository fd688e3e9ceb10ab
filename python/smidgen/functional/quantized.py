"""Arithmetic on uint8 values with scales, and between them and float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.functional.exact_products import BYTE_PRODUCT, exact_dtype, exact_product
from smidgen.functional.types import F32, I8, I32, I64, U8


def round_and_clamp(t: F32, zero_point: int, qmin: int, qmax: int) -> U8:
    """Clamps t to [qmin - z, qmax - z], rounds half to even and adds z. NaN becomes qmin."""
    low, high = np.float32(qmin - zero_point), np.float32(qmax - zero_point)
    # Not np.clip, which hands NaN through: here a NaN fails the comparison and becomes `low`.
    bounded = np.minimum(np.where(t > low, t, low), high)
    return (np.rint(bounded).astype(np.int32) + zero_point).astype(np.uint8)


def quantize(x: F32, scale: float, zero_point: int) -> U8:
    """Quantizes: clamp(round(x / scale) + zero_point, 0, 255). NaN and -inf give 0, +inf gives 255.

    >>> quantize(np.array([0.5, 1.5, np.nan, np.inf], np.float32), 1.0, 3)
    array([  3,   5,   0, 255], dtype=uint8)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        t = x / np.float32(scale)
    return round_and_clamp(t, zero_point, 0, 255)


def dequantize(q: U8, scale: float, zero_point: int) -> F32:
    """Dequantizes: float(q - zero_point) * scale.

    >>> dequantize(np.array([3, 5], np.uint8), 0.5, 3)
    array([0., 1.], dtype=float32)
    """
    return (q.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)


def quantize_weight(weight: F32, scales: F32) -> I8:
    """Quantizes weights symmetrically to [-127, 127], one scale for each index of axis 0.

    Shapes: weight [O, ...] float32, scales [O] float32. Returns int8 of weight's shape.
    """
    spread = scales.reshape(-1, *([1] * (weight.ndim - 1)))
    quantized: I8 = np.clip(np.rint(weight / spread), -127, 127).astype(np.int8)
    return quantized


def quantize_bias(bias: F32, input_scale: float, weight_scales: F32) -> I32:
    """Quantizes a bias to int32 with scale input_scale * weight_scales[c], saturating.

    Shapes: bias [O] float32, weight_scales [O] float32. Returns [O] int32.
    """
    scales = np.float64(input_scale) * weight_scales.astype(np.float64)
    quantized = np.rint(bias.astype(np.float64) / scales)
    return np.clip(quantized, -(2**31) + 1, 2**31 - 1).astype(np.int32)


def requantize_multipliers(input_scale: float, weight_scales: F32, output_scale: float) -> F32:
    """Returns m[c] = fl(fl(s_x * s_w[c]) / s_y), the factor between an accumulator and its output.

    Shapes: weight_scales [O] float32. Returns [O] float32.
    """
    product = np.float32(input_scale) * weight_scales
    with np.errstate(over="ignore"):  # verify refuses multipliers that are not finite
        return (product / np.float32(output_scale)).astype(np.float32)


def requantize(acc: I32, multipliers: F32, zero_point: int, qmin: int, qmax: int) -> U8:
    """Scales accumulators to uint8: clamp(round(float(acc) * m[c]) + zero_point, qmin, qmax).

    Shapes: acc [N, O, ...] int32; multipliers [O] float32. Returns uint8 of acc's shape.
    """
    spread = multipliers.reshape(1, -1, *([1] * (acc.ndim - 2)))
    with np.errstate(over="ignore"):  # infinities are clamped
        scaled = acc.astype(np.float32) * spread
    return round_and_clamp(scaled, zero_point, qmin, qmax)


def dequantize_accumulators(acc: I32, input_scale: float, weight_scales: F32) -> F32:
    """Scales accumulators to float32: fl(float(acc) * fl(s_x * s_w[c])).

    Shapes: acc [N, O, ...] int32; weight_scales [O] float32. Returns float32 of acc's shape.
    """
    product = np.float32(input_scale) * weight_scales
    return acc.astype(np.float32) * product.reshape(1, -1, *([1] * (acc.ndim - 2)))


def convolve(
    x: U8,
    zero_point: int,
    weight: I8,
    bias: I32,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
) -> I32:
    """Accumulates a convolution exactly: bias[o] + sum (x - zero_point) * weight; padding is zero.

    Shapes: x [N, C, H, W]; weight [O, C / groups, KH, KW]; bias [O];
    padding is (top, left, bottom, right).
    Returns [N, O, OH, OW] int32.
    """
    top, left, bottom, right = padding
    out_channels, group_channels, kernel_h, kernel_w = weight.shape
    images, _, height, width = x.shape
    out_h = window_count(height, kernel_h, stride[0], top + bottom, dilation[0])
    out_w = window_count(width, kernel_w, stride[1], left + right, dilation[1])
    dtype = exact_dtype(group_channels * kernel_h * kernel_w, BYTE_PRODUCT)
    centred = np.pad(
        x.astype(dtype) - dtype.type(zero_point), ((0, 0), (0, 0), (top, bottom), (left, right))
    )
    grouped = centred.reshape(images, groups, group_channels, *centred.shape[2:])
    taps = weight.reshape(groups, -1, group_channels, kernel_h, kernel_w).astype(dtype)
    acc = np.zeros((images, groups, out_channels // groups, out_h * out_w), dtype)
    is_depthwise = group_channels == 1
    for kh in range(kernel_h):
        for kw in range(kernel_w):
            rows = _every(stride[0], out_h, start=kh * dilation[0])
            cols = _every(stride[1], out_w, start=kw * dilation[1])
            window = grouped[..., rows, cols].reshape(images, groups, group_channels, -1)
            # Matrices of one column take BLAS longer than they take to multiply.
            tap = taps[..., kh, kw]
            acc += tap * window if is_depthwise else exact_product(tap, window)
    total: I64 = acc.reshape(images, out_channels, out_h, out_w).astype(np.int64)
    return (total + bias.astype(np.int64).reshape(1, -1, 1, 1)).astype(np.int32)


def multiply_accumulate(x: U8, zero_point: int, weight: I8, bias: I32) -> I32:
    """Accumulates a linear layer exactly: bias[o] + sum (x - zero_point) * weight[o].

    Shapes: x [N, I]; weight [O, I]; bias [O]. Returns [N, O] int32.
    """
    dtype = exact_dtype(x.shape[1], BYTE_PRODUCT)
    centred = x.astype(dtype) - dtype.type(zero_point)
    acc: I64 = exact_product(centred, weight.astype(dtype).T).astype(np.int64)
    return (acc + bias.astype(np.int64)).astype(np.int32)


def add(
    lhs: U8,
    rhs: U8,
    *,
    lhs_zero_point: int,
    lhs_multiplier: np.float32,
    rhs_zero_point: int,
    rhs_multiplier: np.float32,
    zero_point: int,
    qmin: int,
    qmax: int,
) -> U8:
    """Adds: round(fl(fl((l - z_l) * m_l) + fl((r - z_r) * m_r))), with m = fl(s_input / s_y).

    Shapes: lhs and rhs of one shape. Returns the same shape.
    """
    left = (lhs.astype(np.int32) - lhs_zero_point).astype(np.float32) * lhs_multiplier
    right = (rhs.astype(np.int32) - rhs_zero_point).astype(np.float32) * rhs_multiplier
    with np.errstate(over="ignore"):  # infinities are clamped
        total = left + right
    return round_and_clamp(total, zero_point, qmin, qmax)


def multiply(
    lhs: U8,
    rhs: U8,
    *,
    lhs_zero_point: int,
    rhs_zero_point: int,
    multiplier: np.float32,
    zero_point: int,
    qmin: int,
    qmax: int,
) -> U8:
    """Multiplies: round(fl(float((l - z_l) * (r - z_r)) * m)), with m = fl(fl(s_l * s_r) / s_y).

    Shapes: lhs and rhs of one shape, or one [N, C, H, W] and the other [N, C, 1, 1].
    Returns the larger shape.
    """
    product = (lhs.astype(np.int32) - lhs_zero_point) * (rhs.astype(np.int32) - rhs_zero_point)
    with np.errstate(over="ignore"):  # infinities are clamped
        scaled = product.astype(np.float32) * multiplier
    return round_and_clamp(scaled, zero_point, qmin, qmax)


def product_multiplier(lhs_scale: float, rhs_scale: float, output_scale: float) -> np.float32:
    """Returns m = fl(fl(s_l * s_r) / s_y), the factor between a product and its output."""
    product = np.float32(lhs_scale) * np.float32(rhs_scale)
    with np.errstate(over="ignore"):  # verify refuses multipliers that are not finite
        return np.float32(product / np.float32(output_scale))


def average_pool(
    x: U8,
    *,
    x_zero_point: int,
    multiplier: np.float32,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    count_include_pad: bool,
    zero_point: int,
    qmin: int,
    qmax: int,
) -> U8:
    """Averages windows: round(fl(fl(float(sum(x - z_x)) * m) / float(count))), m = fl(s_x / s_y).

    count is the number of values in the window, with those in the padding if count_include_pad.
    Shapes: x [N, C, H, W]; padding is (top, left, bottom, right). Returns [N, C, OH, OW].
    """
    top, left, bottom, right = padding
    pad = ((0, 0), (0, 0), (top, bottom), (left, right))
    centred = np.pad(x.astype(np.int32) - x_zero_point, pad)
    inside = np.pad(np.ones(x.shape, np.int32), pad, constant_values=int(count_include_pad))
    total = _windows(centred, kernel, stride).sum(axis=(4, 5), dtype=np.int32)
    count = _windows(inside, kernel, stride).sum(axis=(4, 5), dtype=np.int32)
    with np.errstate(over="ignore"):  # infinities are clamped
        scaled = total.astype(np.float32) * multiplier
    return round_and_clamp(scaled / count.astype(np.float32), zero_point, qmin, qmax)


def max_pool(
    x: U8,
    *,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
) -> U8:
    """Takes the largest value of each window; values in the padding do not take part.

    Shapes: x [N, C, H, W]; padding is (top, left, bottom, right). Returns [N, C, OH, OW].
    """
    top, left, bottom, right = padding
    # 0 is the smallest uint8 and never wins over a value inside; no window is all padding.
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    span = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    windows = _windows(padded, span, stride)[..., :: dilation[0], :: dilation[1]]
    largest: U8 = windows.max(axis=(4, 5))
    return largest


def lookup(x: U8, table: U8) -> U8:
    """Replaces each value by its entry in a table of 256.

    Shapes: table [256]. Returns x's shape.
    """
    return table[x]


def window_count(extent: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Returns how many windows fit; `padding` is the sum of both sides. May be less than 1."""
    return (extent + padding - dilation * (kernel - 1) - 1) // stride + 1


def _every(stride: int, count: int, *, start: int) -> slice:
    return slice(start, start + (count - 1) * stride + 1, stride)


def _windows(
    x: NDArray[np.generic], kernel: tuple[int, int], stride: tuple[int, int]
) -> NDArray[np.generic]:
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1]]
