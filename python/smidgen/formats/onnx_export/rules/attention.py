"""Attention on quantized tensors, as the operators that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import Attention

QUERIES_OR_VALUES = (0, 2, 1, 3)  # [N, S, heads, size] to [N, heads, S, size]
KEYS = (0, 2, 3, 1)  # to [N, heads, size, S]


def _attention(graph: QdqGraph, step: Attention) -> None:
    query = _heads(graph, step, step.query, step.query_offset, QUERIES_OR_VALUES)
    key = _heads(graph, step, step.key, step.key_offset, KEYS)
    value = _heads(graph, step, step.value, step.value_offset, QUERIES_OR_VALUES)
    scores = graph.node("Mul", [graph.node("MatMul", [query, key]), graph.number(step.scale)])
    if step.mask is not None:
        scores = graph.node("Add", [scores, step.mask])
    weights = graph.node("Softmax", [scores], axis=-1)
    mixed = graph.node("MatMul", [weights, value])
    joined = graph.node("Transpose", [mixed], perm=QUERIES_OR_VALUES)
    features = np.array([0, 0, step.heads * step.head_size], np.int64)
    shape = graph.constant(f"{step.output}/features", features)
    graph.write("Reshape", [joined, shape], step.output)


def _heads(
    graph: QdqGraph, step: Attention, tensor: str, offset: int, permutation: tuple[int, ...]
) -> str:
    """Returns real values by heads; the bytes move, which is less work than to move floats."""
    features = step.heads * step.head_size
    moved = tensor
    if graph.program.tensor(tensor).shape[-1] != features:
        bounds = {"start": offset, "stop": offset + features, "axis": 2}
        constants = [
            graph.constant(f"{step.output}/{name}", np.array([bound], np.int64))
            for name, bound in bounds.items()
        ]
        moved = graph.node("Slice", [moved, *constants])
    heads = np.array([0, 0, step.heads, step.head_size], np.int64)
    moved = graph.node("Reshape", [moved, graph.constant(f"{step.output}/heads", heads)])
    return graph.dequantize_as(tensor, graph.node("Transpose", [moved], perm=permutation))


RULES: Mapping[type[Any], Rule] = {Attention: _attention}
