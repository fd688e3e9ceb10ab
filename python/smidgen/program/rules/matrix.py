"""Rules of the matrix products with float32 results, and of tables of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from smidgen.program.rules.expectations import (
    ACCUMULATOR_LIMIT,
    check_weight_scale,
    expect,
    expect_constant,
    expect_tensor,
    shapes_agree,
)
from smidgen.program.shapes import Shape, broadcast_shape
from smidgen.program.steps import DynamicLinear, Embedding, MatMul
from smidgen.program.types import DType, Program
from smidgen.qparams import WEIGHT_QMAX


def _matmul(program: Program, step: MatMul) -> Shape:
    expect_tensor(program, step.output, DType.FLOAT32)
    lhs = expect_tensor(program, step.lhs, DType.FLOAT32).shape
    rhs = expect_tensor(program, step.rhs, DType.FLOAT32).shape
    expect(len(lhs) >= 2 and len(rhs) >= 2, f"multiplies {list(lhs)} and {list(rhs)}")
    depth, columns = (rhs[-1], rhs[-2]) if step.transpose_rhs else (rhs[-2], rhs[-1])
    expect(shapes_agree((lhs[-1],), (depth,)), f"multiplies {list(lhs)} and {list(rhs)}")
    return (*broadcast_shape(lhs[:-2], rhs[:-2]), lhs[-2], columns)


def _embedding(program: Program, step: Embedding) -> Shape:
    expect_tensor(program, step.output, DType.FLOAT32)
    indices = expect_tensor(program, step.indices, DType.INT64).shape
    table = expect_constant(program, step.table, DType.INT8, (None, None))
    scales = expect_constant(program, step.table_scale, DType.FLOAT32, (table.shape[0],))
    check_weight_scale(scales, step.table_scale)
    return (*indices, table.shape[1])


def _dynamic_linear(program: Program, step: DynamicLinear) -> Shape:
    expect_tensor(program, step.output, DType.FLOAT32)
    shape = expect_tensor(program, step.input, DType.FLOAT32).shape
    expect(len(shape) >= 2, f"{step.input} has rank {len(shape)}, expected at least 2")
    expect(shape[-1] is not None, f"the features of {step.input} are not fixed")
    weight = expect_constant(program, step.weight, DType.INT8, (None, shape[-1]))
    channels = weight.shape[0]
    check_weight_scale(
        expect_constant(program, step.weight_scale, DType.FLOAT32, (channels,)), step.weight_scale
    )
    expect_constant(program, step.bias, DType.FLOAT32, (channels,))
    expect(bool((weight >= -WEIGHT_QMAX).all()), f"{step.weight} has a value below -{WEIGHT_QMAX}")
    largest = max(255 * int(np.abs(row.astype(np.int64)).sum()) for row in weight)
    expect(largest < ACCUMULATOR_LIMIT, f"accumulators reach {largest}, expected less than 2**31")
    return (*shape[:-1], channels)


RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {
    MatMul: _matmul,
    Embedding: _embedding,
    DynamicLinear: _dynamic_linear,
}
