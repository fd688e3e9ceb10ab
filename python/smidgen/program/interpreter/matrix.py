"""How matrix products with float32 results and tables of rows run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.steps import DynamicLinear, Embedding, MatMul
from smidgen.program.types import Program


def _matmul(_: Program, step: MatMul, values: Values) -> NDArray[Any]:
    return functional.matmul(values[step.lhs], values[step.rhs], transpose_rhs=step.transpose_rhs)


def _embedding(program: Program, step: Embedding, values: Values) -> NDArray[Any]:
    return functional.embed(
        values[step.indices],
        cast("functional.I8", program.constants[step.table]),
        cast("functional.F32", program.constants[step.table_scale]),
    )


def _dynamic_linear(program: Program, step: DynamicLinear, values: Values) -> NDArray[Any]:
    return functional.dynamic_linear(
        values[step.input],
        cast("functional.I8", program.constants[step.weight]),
        cast("functional.F32", program.constants[step.weight_scale]),
        cast("functional.F32", program.constants[step.bias]),
    )


RULES: Mapping[type[Any], Rule] = {
    MatMul: _matmul,
    Embedding: _embedding,
    DynamicLinear: _dynamic_linear,
}
