"""Rules of the steps that give images another size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.quantized import scaled
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.steps import ConvTranspose2d, Resize
from smidgen.program.types import Program


def _conv_transpose2d(program: Program, step: ConvTranspose2d, values: Values) -> NDArray[Any]:
    acc = functional.convolve_transposed(
        values[step.input],
        program.tensor(step.input).zero_point,
        cast("functional.I8", program.constants[step.weight]),
        cast("functional.I32", program.constants[step.bias]),
        stride=step.stride,
        padding=step.padding,
        output_padding=step.output_padding,
        dilation=step.dilation,
        groups=step.groups,
    )
    return scaled(program, step, acc)


def _resize(_: Program, step: Resize, values: Values) -> NDArray[Any]:
    x, ratio = values[step.input], (step.ratio[0], step.ratio[1])
    if step.mode == "bilinear":
        return functional.resize_bilinear(x, step.size, ratio, align_corners=step.align_corners)
    is_exact = step.mode == "nearest_exact"
    return functional.resize_nearest(x, step.size, ratio, is_exact=is_exact)


RULES: Mapping[type[Any], Rule] = {ConvTranspose2d: _conv_transpose2d, Resize: _resize}
