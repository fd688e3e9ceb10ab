"""Pools, made of steps that exist on floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.health.twin.errors import NoTwinError
from smidgen.health.twin.writer import LARGEST, TwinWriter
from smidgen.program import (
    AveragePool2d,
    Binary,
    FloatConv2d,
    GlobalAveragePool,
    MaxPool2d,
    Pad,
    Reduce,
    Slice,
)


def _max_pool(writer: TwinWriter, step: MaxPool2d) -> None:
    """Takes the maximum of slices a stride apart, first along the height and then the width."""
    top, left, bottom, right = step.padding
    height, width = writer.extents(step.input)
    counts = writer.extents(step.output)
    value = writer.read(step.input)
    shape = list(writer.source.tensor(step.input).shape)
    if any(step.padding):
        shape[2:] = [height + top + bottom, width + left + right]
        padded = writer.between(step.output, "padded", tuple(shape))
        pads = ((0, 0), (0, 0), (top, bottom), (left, right))
        writer.add(Pad(value, padded, pads, -LARGEST))
        value = padded
    for axis, (kernel, stride, dilation, count) in enumerate(
        zip(step.kernel, step.stride, step.dilation, counts, strict=True), start=2
    ):
        shape[axis] = count
        span = (count - 1) * stride + 1
        taps = []
        for tap in range(kernel):
            part = writer.between(step.output, f"tap{axis}_{tap}", tuple(shape))
            writer.add(Slice(value, part, axis, tap * dilation, tap * dilation + span, stride))
            taps.append(part)
        value = taps[0]
        for tap, part in enumerate(taps[1:]):
            largest = writer.between(step.output, f"largest{axis}_{tap}", tuple(shape))
            writer.add(Binary(value, part, largest, "maximum"))
            value = largest
    writer.alias(step.output, value)


def _average_pool(writer: TwinWriter, step: AveragePool2d) -> None:
    """Sums each window by a convolution of each channel with equal weights."""
    shape = writer.source.tensor(step.output).shape
    channels = shape[1]
    if channels is None:
        raise NoTwinError(f"the channels of {step.output} are not fixed")
    near, kernel = step.output, step.kernel
    writer.expect_room(channels, *kernel)
    weight = np.full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]), np.float32)
    output = writer.unclamped(near)
    counts_inside = any(step.padding) and not step.count_include_pad
    mean = writer.between(near, "mean", shape) if counts_inside else output
    writer.add(
        FloatConv2d(
            writer.read(step.input),
            mean,
            writer.constant(near, "weight", weight),
            writer.constant(near, "bias", np.zeros(channels, np.float32)),
            stride=step.stride,
            padding=step.padding,
            groups=channels,
        )
    )
    if counts_inside:
        factors = writer.constant_tensor(near, "factors", _factors(writer, step))
        writer.add(Binary(mean, factors, output, "mul"))
    writer.clamped(near, output)


def _factors(writer: TwinWriter, step: AveragePool2d) -> NDArray[np.float32]:
    """Returns how many times more values each window has than there are inside the image."""
    writer.expect_room(*writer.extents(step.output))
    inside = []
    for axis, (extent, count) in enumerate(
        zip(writer.extents(step.input), writer.extents(step.output), strict=True)
    ):
        first = np.arange(count) * step.stride[axis] - step.padding[axis]
        last = np.minimum(first + step.kernel[axis], extent)
        inside.append(last - np.maximum(first, 0))
    values = np.outer(inside[0], inside[1])
    factors = step.kernel[0] * step.kernel[1] / values
    return factors.astype(np.float32).reshape(1, 1, *values.shape)


def _global_average_pool(writer: TwinWriter, step: GlobalAveragePool) -> None:
    output = writer.unclamped(step.output)
    writer.add(Reduce(writer.read(step.input), output, "mean", (2, 3), keep_dims=True))
    writer.clamped(step.output, output)


RULES: Mapping[type[Any], Callable[[TwinWriter, Any], None]] = {
    MaxPool2d: _max_pool,
    AveragePool2d: _average_pool,
    GlobalAveragePool: _global_average_pool,
}
