"""How many multiplications and additions a program's steps take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from smidgen.program.steps import (
    Attention,
    Conv2d,
    ConvTranspose2d,
    DynamicLinear,
    FloatConv2d,
    FloatConvTranspose2d,
    Linear,
    MatMul,
    Step,
)
from smidgen.program.types import Program


def multiplications(program: Program, step: Step, batch: int) -> int:
    """Returns the multiply-accumulates of a step; 0 for a step that does no dot products."""
    rule = _RULES.get(type(step))
    return 0 if rule is None else rule(program, step, batch)


def total_multiplications(program: Program, batch: int) -> int:
    """Returns the multiply-accumulates of one run."""
    return sum(multiplications(program, step, batch) for step in program.steps)


def _shape(program: Program, tensor: str, batch: int) -> list[int]:
    """Returns the extents of a tensor; those that are not known are the batch."""
    return [batch if extent is None else extent for extent in program.tensor(tensor).shape]


def _layer(
    program: Program, step: Conv2d | FloatConv2d | Linear | DynamicLinear, batch: int
) -> int:
    outputs = math.prod(_shape(program, step.output, batch))
    return outputs * math.prod(program.constants[step.weight].shape[1:])


def _transposed_layer(
    program: Program, step: ConvTranspose2d | FloatConvTranspose2d, batch: int
) -> int:
    inputs = math.prod(_shape(program, step.input, batch))
    return inputs * math.prod(program.constants[step.weight].shape[1:])


def _mat_mul(program: Program, step: MatMul, batch: int) -> int:
    return math.prod(_shape(program, step.output, batch)) * _shape(program, step.lhs, batch)[-1]


def _attention(program: Program, step: Attention, batch: int) -> int:
    tokens = _shape(program, step.key, batch)[1]
    return 2 * math.prod(_shape(program, step.output, batch)) * tokens


_RULES: Mapping[type[Step], Callable[[Program, Any, int], int]] = {
    Conv2d: _layer,
    Linear: _layer,
    DynamicLinear: _layer,
    ConvTranspose2d: _transposed_layer,
    FloatConv2d: _layer,
    FloatConvTranspose2d: _transposed_layer,
    MatMul: _mat_mul,
    Attention: _attention,
}
