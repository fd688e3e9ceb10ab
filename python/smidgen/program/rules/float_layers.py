"""Rules of the convolutions on float32."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.program.rules.expectations import expect, expect_constant, expect_tensor
from smidgen.program.rules.quantized import check_padding, check_pairs
from smidgen.program.rules.resampling import check_output_padding, transposed_shape
from smidgen.program.shapes import Shape, windowed_shape
from smidgen.program.steps import FloatConv2d, FloatConvTranspose2d
from smidgen.program.types import DType, Program


def _conv2d(program: Program, step: FloatConv2d) -> Shape:
    shape, per_group = _source(program, step)
    weight = expect_constant(program, step.weight, DType.FLOAT32, (None, per_group, None, None))
    expect(weight.shape[0] % step.groups == 0, f"{weight.shape[0]} outputs, {step.groups} groups")
    _check_values(program, step, weight, weight.shape[0])
    return windowed_shape(
        shape,
        weight.shape[0],
        kernel=(weight.shape[2], weight.shape[3]),
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
    )


def _conv_transpose2d(program: Program, step: FloatConvTranspose2d) -> Shape:
    shape, per_group = _source(program, step)
    channels = per_group * step.groups
    weight = expect_constant(program, step.weight, DType.FLOAT32, (channels, None, None, None))
    outs = weight.shape[1] * step.groups
    _check_values(program, step, weight, outs)
    check_output_padding(step)
    return transposed_shape(shape, outs, (weight.shape[2], weight.shape[3]), step)


def _source(program: Program, step: FloatConv2d | FloatConvTranspose2d) -> tuple[Shape, int]:
    """Returns the input's shape and the channels of a group."""
    shape = expect_tensor(program, step.input, DType.FLOAT32, rank=4).shape
    expect_tensor(program, step.output, DType.FLOAT32, rank=4)
    expect(step.groups >= 1, f"groups is {step.groups}, expected at least 1")
    channels = shape[1]
    expect(channels is not None, f"the channels of {step.input} are not fixed")
    assert channels is not None
    expect(channels % step.groups == 0, f"{channels} channels for {step.groups} groups")
    return shape, channels // step.groups


def _check_values(
    program: Program, step: FloatConv2d | FloatConvTranspose2d, weight: NDArray[Any], outs: int
) -> None:
    """Bounds the window. Weights are finite, as padding would make a NaN of others."""
    kernel = (weight.shape[2], weight.shape[3])
    check_pairs(kernel=kernel, stride=step.stride, dilation=step.dilation)
    check_padding(step.padding, kernel, step.dilation, half=False)
    expect_constant(program, step.bias, DType.FLOAT32, (outs,))
    expect(bool(np.isfinite(weight).all()), f"{step.weight} has a value that is not finite")


RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {
    FloatConv2d: _conv2d,
    FloatConvTranspose2d: _conv_transpose2d,
}
