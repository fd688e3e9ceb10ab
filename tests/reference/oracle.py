"""The arithmetic a second time, one value at a time, with exact fractions.

It shares no code with smidgen.functional nor with csrc/: integers are Python integers, float32
roundings are made explicitly from exact values, and windows are walked tap by tap.
"""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction

import numpy as np


def f32(value: Fraction | float) -> Fraction:
    """Rounds an exact value to the nearest float32, ties to even, and returns it exactly.

    Values beyond the range of a normal float32 are not needed here and refused.
    """
    exact = Fraction(value)
    if exact == 0:
        return exact
    exponent = _exponent(abs(exact))
    assert -126 <= exponent <= 127
    unit = Fraction(2) ** (exponent - 23)
    return round_half_even(exact / unit) * unit


def round_half_even(value: Fraction) -> int:
    """Rounds to the nearest integer, ties to even."""
    return round(value)


def clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def exactly(value: float) -> Fraction:
    """Returns the exact value of a float32."""
    return Fraction(struct.unpack("<f", struct.pack("<f", value))[0])


def quantize(value: float, scale: float, zero_point: int) -> int:
    t = f32(exactly(value) / exactly(scale))
    return clamp(round_half_even(t) + zero_point, 0, 255)


def dequantize(value: int, scale: float, zero_point: int) -> Fraction:
    return f32(Fraction(value - zero_point) * exactly(scale))


def multiplier(input_scale: float, weight_scale: float, output_scale: float) -> Fraction:
    return f32(f32(exactly(input_scale) * exactly(weight_scale)) / exactly(output_scale))


def requantize(acc: int, m: Fraction, zero_point: int, qmin: int, qmax: int) -> int:
    return clamp(round_half_even(f32(f32(acc) * m)) + zero_point, qmin, qmax)


def add(
    lhs: int, rhs: int, ratios: tuple[Fraction, Fraction], zero_points: tuple[int, int, int]
) -> int:
    """Adds two values without a clamp of its own; zero_points are of lhs, rhs and the output."""
    left = f32(Fraction(lhs - zero_points[0]) * ratios[0])
    right = f32(Fraction(rhs - zero_points[1]) * ratios[1])
    return clamp(round_half_even(f32(left + right)) + zero_points[2], 0, 255)


def convolve(x, zero_point, weight, bias, stride, padding, dilation, groups):
    """Returns the accumulators of a convolution, [N, O, OH, OW] int64, by walking every tap."""
    n, _, h, w = x.shape
    o, per_group, kh, kw = weight.shape
    top, left, bottom, right = padding
    oh = (h + top + bottom - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (w + left + right - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = np.zeros((n, o, oh, ow), np.int64)
    for image, channel, row, col in itertools.product(range(n), range(o), range(oh), range(ow)):
        group = channel // (o // groups)
        total = int(bias[channel])
        for c, i, j in itertools.product(range(per_group), range(kh), range(kw)):
            y = row * stride[0] - top + i * dilation[0]
            z = col * stride[1] - left + j * dilation[1]
            if 0 <= y < h and 0 <= z < w:
                value = int(x[image, group * per_group + c, y, z]) - zero_point
                total += value * int(weight[channel, c, i, j])
        out[image, channel, row, col] = total
    return out


def pool_windows(x, kernel, stride, padding):
    """Yields (index of the output, values inside the window as ints) for every window."""
    n, channels, h, w = x.shape
    top, left, bottom, right = padding
    oh = (h + top + bottom - kernel[0]) // stride[0] + 1
    ow = (w + left + right - kernel[1]) // stride[1] + 1
    for index in itertools.product(range(n), range(channels), range(oh), range(ow)):
        first_row, first_col = index[2] * stride[0] - top, index[3] * stride[1] - left
        rows = range(max(first_row, 0), min(first_row + kernel[0], h))
        cols = range(max(first_col, 0), min(first_col + kernel[1], w))
        yield index, [int(x[index[0], index[1], y, z]) for y in rows for z in cols]


def average(values, zero_point, ratio: Fraction, count: int, output_zero_point: int) -> int:
    total = sum(value - zero_point for value in values)
    t = f32(f32(f32(total) * ratio) / count)
    return clamp(round_half_even(t) + output_zero_point, 0, 255)


def _exponent(value: Fraction) -> int:
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= value else exponent - 1
