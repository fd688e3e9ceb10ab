"""How convolutions on float32 run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.steps import FloatConv2d, FloatConvTranspose2d
from smidgen.program.types import Program


def _conv2d(program: Program, step: FloatConv2d, values: Values) -> NDArray[Any]:
    return functional.float_convolve(
        values[step.input],
        cast("functional.F32", program.constants[step.weight]),
        cast("functional.F32", program.constants[step.bias]),
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
        groups=step.groups,
    )


def _conv_transpose2d(program: Program, step: FloatConvTranspose2d, values: Values) -> NDArray[Any]:
    return functional.float_convolve_transposed(
        values[step.input],
        cast("functional.F32", program.constants[step.weight]),
        cast("functional.F32", program.constants[step.bias]),
        stride=step.stride,
        padding=step.padding,
        output_padding=step.output_padding,
        dilation=step.dilation,
        groups=step.groups,
    )


RULES: Mapping[type[Any], Rule] = {
    FloatConv2d: _conv2d,
    FloatConvTranspose2d: _conv_transpose2d,
}
