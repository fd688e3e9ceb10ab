"""Rules of the steps that give images another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smidgen.functional import convolution_weight
from smidgen.program.rules.expectations import (
    ACCUMULATOR_LIMIT,
    check_clamp,
    check_same_qparams,
    expect,
    expect_constant,
    expect_float,
    expect_tensor,
)
from smidgen.program.rules.quantized import check_padding, check_pairs, check_requantization
from smidgen.program.shapes import Extent, Shape
from smidgen.program.steps import (
    RESIZE_MODES,
    ConvTranspose2d,
    FloatConvTranspose2d,
    IntPair,
    Resize,
)
from smidgen.program.types import DType, Program


def _conv_transpose2d(program: Program, step: ConvTranspose2d) -> Shape:
    source = expect_tensor(program, step.input, DType.UINT8, rank=4)
    expect_tensor(program, step.output, DType.UINT8, rank=4)
    channels = source.shape[1]
    expect(channels is not None, f"the channels of {step.input} are not fixed")
    assert channels is not None
    expect(step.groups >= 1, f"groups is {step.groups}, expected at least 1")
    expect(channels % step.groups == 0, f"{channels} channels for {step.groups} groups")
    weight = expect_constant(program, step.weight, DType.INT8, (channels, None, None, None))
    kernel = (weight.shape[2], weight.shape[3])
    check_pairs(kernel=kernel, stride=step.stride, dilation=step.dilation)
    check_padding(step.padding, kernel, step.dilation, half=False)
    check_output_padding(step)
    check_clamp(step.qmin, step.qmax)
    by_output = convolution_weight(weight, step.groups)
    check_requantization(program, step, by_output)
    return transposed_shape(source.shape, by_output.shape[0], kernel, step)


def check_output_padding(step: ConvTranspose2d | FloatConvTranspose2d) -> None:
    """Bounds what is appended, so that a stride or a gap of the window would reach it."""
    for axis in (0, 1):
        most = max(step.stride[axis], step.dilation[axis])
        expect(
            0 <= step.output_padding[axis] < most,
            f"output padding is {step.output_padding}, expected values from 0 to {most - 1}",
        )


def transposed_shape(
    source: Shape, outs: int, kernel: IntPair, step: ConvTranspose2d | FloatConvTranspose2d
) -> Shape:
    """Returns the shape that a transposed convolution gives [N, C, H, W]."""
    height, width = (_stretched(source[axis + 2], kernel[axis], step, axis) for axis in (0, 1))
    return (source[0], outs, height, width)


def _stretched(
    extent: Extent, kernel: int, step: ConvTranspose2d | FloatConvTranspose2d, axis: int
) -> Extent:
    if extent is None:
        return None
    cut = step.padding[axis] + step.padding[axis + 2] - step.output_padding[axis]
    found = (extent - 1) * step.stride[axis] + step.dilation[axis] * (kernel - 1) + 1 - cut
    expect(1 <= found < ACCUMULATOR_LIMIT, f"{extent} pixels become {found}")
    return found


def _resize(program: Program, step: Resize) -> Shape:
    source = expect_tensor(program, step.input, DType.UINT8, rank=4)
    check_same_qparams(source, expect_tensor(program, step.output, DType.UINT8, rank=4))
    expect(step.mode in RESIZE_MODES, f"mode is {step.mode!r}, expected {', '.join(RESIZE_MODES)}")
    expect(len(step.ratio) == 2, f"ratio has {len(step.ratio)} values, expected 2")
    for ratio in step.ratio:
        expect_float("ratio", ratio)
        expect(ratio >= 0.0, f"ratio is {ratio}, expected at least 0")
    for size in (step.size, source.shape[2:]):
        expect(
            all(extent is None or 1 <= extent < LARGEST_SIDE for extent in size),
            f"the size {size} is not from 1 to {LARGEST_SIDE - 1}",
        )
    expect(not step.align_corners or step.mode == "bilinear", f"{step.mode} does not align corners")
    return (source.shape[0], source.shape[1], *step.size)


LARGEST_SIDE = 2**24
"""Where float32 no longer holds every place."""

RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {
    ConvTranspose2d: _conv_transpose2d,
    Resize: _resize,
}
