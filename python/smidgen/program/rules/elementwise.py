"""Rules of the steps that work value by value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smidgen.program.rules.expectations import expect, expect_float, expect_tensor
from smidgen.program.shapes import Shape, broadcast_shape
from smidgen.program.steps import (
    BINARY_TYPES,
    COMPARISONS,
    UNARY_PARAMETERS,
    Binary,
    Cast,
    Compare,
    Unary,
    Where,
)
from smidgen.program.types import DType, Program

_PLAIN = (DType.FLOAT32, DType.INT64, DType.BOOL)


def _unary(program: Program, step: Unary) -> Shape:
    _expect_function(step.function, UNARY_PARAMETERS)
    dtype = DType.BOOL if step.function == "not" else DType.FLOAT32
    expect_tensor(program, step.output, dtype)
    count = UNARY_PARAMETERS[step.function]
    expect(
        len(step.parameters) == count,
        f"{step.function} has {len(step.parameters)} parameters, expected {count}",
    )
    for value in step.parameters:
        expect_float("a parameter", value)
    if step.function == "clamp":
        expect(step.parameters[0] <= step.parameters[1], f"clamps to {step.parameters}")
    return expect_tensor(program, step.input, dtype).shape


def _binary(program: Program, step: Binary) -> Shape:
    _expect_function(step.function, BINARY_TYPES)
    dtype = program.tensor(step.output).dtype
    types = BINARY_TYPES[step.function]
    expect(
        dtype in types,
        f"{step.function} writes {dtype}, expected {' or '.join(types)}",
    )
    return _broadcast(program, dtype, step.lhs, step.rhs)


def _compare(program: Program, step: Compare) -> Shape:
    _expect_function(step.function, COMPARISONS)
    expect_tensor(program, step.output, DType.BOOL)
    dtype = program.tensor(step.lhs).dtype
    expect(
        dtype in (DType.FLOAT32, DType.INT64), f"{step.lhs} is {dtype}, expected float32 or int64"
    )
    return _broadcast(program, dtype, step.lhs, step.rhs)


def _where(program: Program, step: Where) -> Shape:
    dtype = _expect_plain(program, step.output)
    condition = expect_tensor(program, step.condition, DType.BOOL).shape
    return broadcast_shape(condition, _broadcast(program, dtype, step.lhs, step.rhs))


def _cast(program: Program, step: Cast) -> Shape:
    _expect_plain(program, step.output)
    _expect_plain(program, step.input)
    return program.tensor(step.input).shape


def _expect_function(name: str, known: Mapping[str, object] | tuple[str, ...]) -> None:
    expect(name in known, f"function is {name!r:.40}, expected one of {', '.join(known)}")


def _expect_plain(program: Program, name: str) -> DType:
    dtype = program.tensor(name).dtype
    expect(dtype in _PLAIN, f"{name} is {dtype}, expected {', '.join(_PLAIN)}")
    return dtype


def _broadcast(program: Program, dtype: DType, lhs: str, rhs: str) -> Shape:
    left, right = expect_tensor(program, lhs, dtype), expect_tensor(program, rhs, dtype)
    return broadcast_shape(left.shape, right.shape)


RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {
    Unary: _unary,
    Binary: _binary,
    Compare: _compare,
    Where: _where,
    Cast: _cast,
}
