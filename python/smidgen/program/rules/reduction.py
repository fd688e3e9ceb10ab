"""Rules of the steps that work along axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smidgen.program.rules.expectations import (
    expect,
    expect_axis,
    expect_constant,
    expect_float,
    expect_tensor,
)
from smidgen.program.shapes import Shape
from smidgen.program.steps import REDUCTIONS, LayerNorm, Reduce, Softmax
from smidgen.program.types import DType, Program


def _reduce(program: Program, step: Reduce) -> Shape:
    expect(
        step.function in REDUCTIONS,
        f"function is {step.function!r:.40}, expected one of {', '.join(REDUCTIONS)}",
    )
    is_place = step.function == "argmax"
    expect_tensor(program, step.output, DType.INT64 if is_place else DType.FLOAT32)
    shape = expect_tensor(program, step.input, DType.FLOAT32).shape
    expect(len(step.axes) >= 1, "reduces no axis")
    for axis in step.axes:
        expect_axis("an axis", axis, len(shape))
    expect(
        list(step.axes) == sorted(set(step.axes)), f"axes are {step.axes}, expected ascending ones"
    )
    expect(not is_place or len(step.axes) == 1, f"argmax has axes {step.axes}, expected one")
    if step.keep_dims:
        return tuple(1 if axis in step.axes else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in step.axes)


def _softmax(program: Program, step: Softmax) -> Shape:
    expect_tensor(program, step.output, DType.FLOAT32)
    shape = expect_tensor(program, step.input, DType.FLOAT32).shape
    expect_axis("axis", step.axis, len(shape))
    return shape


def _layer_norm(program: Program, step: LayerNorm) -> Shape:
    expect_tensor(program, step.output, DType.FLOAT32)
    shape = expect_tensor(program, step.input, DType.FLOAT32).shape
    for name in (step.weight, step.bias):
        if name is not None:
            expect(shape[-1] is not None, f"the last extent of {step.input} is not fixed")
            expect_constant(program, name, DType.FLOAT32, (shape[-1],))
    expect_float("epsilon", step.epsilon)
    expect(step.epsilon >= 0, f"epsilon is {step.epsilon}, expected at least 0")
    return shape


RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {
    Reduce: _reduce,
    Softmax: _softmax,
    LayerNorm: _layer_norm,
}
