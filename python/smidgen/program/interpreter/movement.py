"""How steps that move values run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.steps import (
    Concat,
    ConstantTensor,
    Expand,
    Gather,
    Pad,
    Reshape,
    Slice,
    Transpose,
)
from smidgen.program.types import DType, Program


def _constant_tensor(program: Program, step: ConstantTensor, _: Values) -> NDArray[Any]:
    return program.constants[step.value]


def _reshape(_: Program, step: Reshape, values: Values) -> NDArray[Any]:
    x = values[step.input]
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(step.shape)])


def _concat(_: Program, step: Concat, values: Values) -> NDArray[Any]:
    return functional.concatenate([values[name] for name in step.inputs], axis=step.axis)


def _transpose(_: Program, step: Transpose, values: Values) -> NDArray[Any]:
    return values[step.input].transpose(step.permutation)


def _slice(_: Program, step: Slice, values: Values) -> NDArray[Any]:
    kept = slice(step.start, step.stop, step.stride)
    return values[step.input][(slice(None),) * step.axis + (kept,)]


def _expand(_: Program, step: Expand, values: Values) -> NDArray[Any]:
    return functional.expand(values[step.input], step.shape)


def _pad(program: Program, step: Pad, values: Values) -> NDArray[Any]:
    tensor = program.tensor(step.input)
    value = tensor.zero_point if tensor.dtype is DType.UINT8 else step.value
    return functional.pad(values[step.input], step.pads, value)


def _gather(_: Program, step: Gather, values: Values) -> NDArray[Any]:
    return functional.gather(values[step.input], values[step.indices], step.axis)


RULES: Mapping[type[Any], Rule] = {
    ConstantTensor: _constant_tensor,
    Reshape: _reshape,
    Concat: _concat,
    Transpose: _transpose,
    Slice: _slice,
    Expand: _expand,
    Pad: _pad,
    Gather: _gather,
}
