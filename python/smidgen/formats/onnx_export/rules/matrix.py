"""Matrix products with float32 results, and tables of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import DynamicLinear, Embedding, MatMul


def _mat_mul(graph: QdqGraph, step: MatMul) -> None:
    rhs = step.rhs
    if step.transpose_rhs:
        axes = list(range(len(graph.program.tensor(rhs).shape)))
        rhs = graph.node("Transpose", [rhs], perm=[*axes[:-2], axes[-1], axes[-2]])
    graph.node("MatMul", [step.lhs, rhs], step.output)


def _embedding(graph: QdqGraph, step: Embedding) -> None:
    """Takes rows first: to dequantize the whole table in each run would take much longer."""
    constants = graph.program.constants
    table = graph.constant(step.table, np.asarray(constants[step.table]))
    scales = graph.constant(step.table_scale, np.asarray(constants[step.table_scale])[:, None])
    rows = graph.node("Gather", [table, step.indices], axis=0)
    values = graph.node("Cast", [rows], to=TensorProto.FLOAT)
    scale = graph.node("Gather", [scales, step.indices], axis=0)
    graph.node("Mul", [values, scale], step.output)


def _dynamic_linear(graph: QdqGraph, step: DynamicLinear) -> None:
    """Quantizes each row by its own range; DynamicQuantizeLinear has one range for all rows."""
    constants = graph.program.constants
    weight = np.asarray(constants[step.weight])
    scale, zero_point = _row_qparams(graph, step.input)
    shifted = graph.node("Add", [_rounded_ratio(graph, step.input, scale), zero_point])
    clipped = graph.node("Clip", [shifted, graph.number(0.0), graph.number(255.0)])
    rows = graph.node("Cast", [clipped], to=TensorProto.UINT8)
    columns = graph.constant(step.weight, np.ascontiguousarray(weight.T))
    product = graph.node("MatMulInteger", [rows, columns])
    column_sums = graph.constant(f"{step.weight}/sums", weight.sum(axis=1, dtype=np.int32))
    whole = graph.node("Cast", [zero_point], to=TensorProto.INT32)
    centred = graph.node("Sub", [product, graph.node("Mul", [whole, column_sums])])
    scales = graph.constant(step.weight_scale, np.asarray(constants[step.weight_scale]))
    scaled = graph.node(
        "Mul",
        [
            graph.node("Cast", [centred], to=TensorProto.FLOAT),
            graph.node("Mul", [scale, scales]),
        ],
    )
    bias = graph.constant(step.bias, np.asarray(constants[step.bias]))
    graph.node("Add", [scaled, bias], step.output)


def _row_qparams(graph: QdqGraph, x: str) -> tuple[str, str]:
    """Returns scale and zero point of each row, as float32 [..., 1]."""
    zero = graph.number(0.0)
    low = graph.node("Min", [graph.node("ReduceMin", [x], axes=[-1]), zero])
    high = graph.node("Max", [graph.node("ReduceMax", [x], axes=[-1]), zero])
    ratio = graph.node("Div", [graph.node("Sub", [high, low]), graph.number(255.0)])
    scale = graph.node("Where", [graph.node("Equal", [ratio, zero]), graph.number(1.0), ratio])
    place = graph.node("Div", [graph.node("Neg", [low]), scale])
    bounded = graph.node("Clip", [place, zero, graph.number(255.0)])
    return scale, graph.node("Round", [bounded])


def _rounded_ratio(graph: QdqGraph, x: str, scale: str) -> str:
    return graph.node("Round", [graph.node("Div", [x, scale])])


RULES: Mapping[type[Any], Rule] = {
    MatMul: _mat_mul,
    Embedding: _embedding,
    DynamicLinear: _dynamic_linear,
}
