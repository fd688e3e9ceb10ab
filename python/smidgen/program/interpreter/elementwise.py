"""How steps that work value by value run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.steps import Binary, Cast, Compare, Unary, Where
from smidgen.program.types import Program


def _unary(_: Program, step: Unary, values: Values) -> NDArray[Any]:
    return functional.unary(values[step.input], step.function, step.parameters)


def _binary(_: Program, step: Binary, values: Values) -> NDArray[Any]:
    return functional.binary(values[step.lhs], values[step.rhs], step.function)


def _compare(_: Program, step: Compare, values: Values) -> NDArray[Any]:
    return functional.compare(values[step.lhs], values[step.rhs], step.function)


def _where(_: Program, step: Where, values: Values) -> NDArray[Any]:
    return functional.where(values[step.condition], values[step.lhs], values[step.rhs])


def _cast(program: Program, step: Cast, values: Values) -> NDArray[Any]:
    return functional.cast(values[step.input], program.tensor(step.output).dtype.numpy)


RULES: Mapping[type[Any], Rule] = {
    Unary: _unary,
    Binary: _binary,
    Compare: _compare,
    Where: _where,
    Cast: _cast,
}
