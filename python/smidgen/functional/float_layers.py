"""Convolutions on float32."""

from __future__ import annotations

import numpy as np

from smidgen.functional.resampling import convolution_weight
from smidgen.functional.types import F32


def float_convolve(
    x: F32,
    weight: F32,
    bias: F32,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int],
    groups: int,
) -> F32:
    """Convolves: acc = fl(acc + fl(x * w)) over the weights of an output in order, then plus bias.

    Values in the padding are 0 and take part. A padding below 0 cuts pixels off.
    Shapes: x [N, C, H, W]; weight [O, C / groups, KH, KW]; bias [O]; padding is (top, left,
    bottom, right). Returns [N, O, OH, OW].
    """
    padded = _padded(x, padding)
    images, _, height, width = padded.shape
    outs, channels, kernel_h, kernel_w = weight.shape
    rows = (height - dilation[0] * (kernel_h - 1) - 1) // stride[0] + 1
    columns = (width - dilation[1] * (kernel_w - 1) - 1) // stride[1] + 1
    grouped = padded.reshape(images, groups, 1, channels, height, width)
    weights = weight.reshape(1, groups, outs // groups, channels, kernel_h, kernel_w, 1, 1)
    acc = np.zeros((images, groups, outs // groups, rows, columns), np.float32)
    with np.errstate(all="ignore"):
        for c, kh, kw in np.ndindex(channels, kernel_h, kernel_w):
            top, left = kh * dilation[0], kw * dilation[1]
            bottom, right = top + (rows - 1) * stride[0] + 1, left + (columns - 1) * stride[1] + 1
            pixels = grouped[..., c, top : bottom : stride[0], left : right : stride[1]]
            acc += pixels * weights[:, :, :, c, kh, kw]
        return acc.reshape(images, outs, rows, columns) + bias.reshape(1, -1, 1, 1)


def float_convolve_transposed(
    x: F32,
    weight: F32,
    bias: F32,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    output_padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> F32:
    """Convolves the image with `stride` - 1 zeros between its pixels by the window turned round.

    Shapes: x [N, C, H, W]; weight [C, O / groups, KH, KW]; bias [O]; padding, which is cut off, is
    (top, left, bottom, right). Returns [N, O, OH, OW].
    """
    images, channels, height, width = x.shape
    larger = np.zeros(
        (images, channels, (height - 1) * stride[0] + 1, (width - 1) * stride[1] + 1), np.float32
    )
    larger[:, :, :: stride[0], :: stride[1]] = x
    reach = [dilation[axis] * (weight.shape[axis + 2] - 1) for axis in (0, 1)]
    return float_convolve(
        larger,
        convolution_weight(weight, groups)[:, :, ::-1, ::-1],
        bias,
        stride=(1, 1),
        padding=(
            reach[0] - padding[0],
            reach[1] - padding[1],
            reach[0] - padding[2] + output_padding[0],
            reach[1] - padding[3] + output_padding[1],
        ),
        dilation=dilation,
        groups=groups,
    )


def _padded(x: F32, padding: tuple[int, int, int, int]) -> F32:
    top, left, bottom, right = padding
    added = [max(amount, 0) for amount in padding]
    padded = np.pad(x, ((0, 0), (0, 0), (added[0], added[2]), (added[1], added[3])))
    height, width = padded.shape[2:]
    cut = padded[:, :, max(-top, 0) : height - max(-bottom, 0)]
    return cut[..., max(-left, 0) : width - max(-right, 0)]
