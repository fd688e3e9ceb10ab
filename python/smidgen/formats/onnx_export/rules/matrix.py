"""Matrix products with float32 results, and tables of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import Embedding, MatMul


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


RULES: Mapping[type[Any], Rule] = {MatMul: _mat_mul, Embedding: _embedding}
