"""Matrix products with float32 results, and tables of rows."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program.steps.fields import ConstantName, TensorName


@dataclass(frozen=True, slots=True)
class MatMul:
    """Product of float32 matrices [..., M, K] and [..., K, N], leading axes broadcast.

    transpose_rhs: whether rhs is [..., N, K].
    """

    lhs: TensorName
    rhs: TensorName
    output: TensorName
    transpose_rhs: bool = False


@dataclass(frozen=True, slots=True)
class Embedding:
    """Rows of a table by int64 indices, [...] to [..., D] float32; indices as for Gather.

    Constants: table [V, D] int8; table_scale [V] float32.
    """

    indices: TensorName
    output: TensorName
    table: ConstantName
    table_scale: ConstantName


@dataclass(frozen=True, slots=True)
class DynamicLinear:
    """Product of float32 rows [..., I] with int8 weights; each row is quantized by its own range.

    Constants: weight [O, I] int8; weight_scale [O] float32; bias [O] float32.
    """

    input: TensorName
    output: TensorName
    weight: ConstantName
    weight_scale: ConstantName
    bias: ConstantName


MatrixStep = MatMul | Embedding | DynamicLinear
