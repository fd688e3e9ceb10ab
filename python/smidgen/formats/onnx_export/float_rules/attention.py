"""Attention, as the operators that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write
from smidgen.graph.operations import BOOL, ScaledDotProductAttention


def _attention(write: Write) -> None:
    attention: ScaledDotProductAttention = write.operation
    graph = write.graph
    query, key, value = write.names[:3]
    turned = graph.node("Transpose", [key], perm=(0, 1, 3, 2))
    products = graph.node("MatMul", [query, turned])
    scores = graph.node("Mul", [products, graph.number(attention.scale)])
    for mask in _masks(write):
        scores = graph.node("Add", [scores, mask])
    weights = graph.node("Softmax", [scores], axis=-1)
    for mask in (mask.name for mask in write.inputs[3:] if mask.dtype == BOOL):
        # A query that may look at nothing gets zeros, and not the NaN of 0 / 0.
        weights = graph.node("Where", [mask, weights, graph.number(0.0)])
    write.node("MatMul", [weights, value])


def _masks(write: Write) -> list[str]:
    """Returns what is added to the scores: minus infinity where a pair is left out."""
    graph, found = write.graph, []
    zero, out = graph.number(0.0), graph.number(float("-inf"))
    for mask in write.inputs[3:]:
        is_bool = mask.dtype == BOOL
        found.append(graph.node("Where", [mask.name, zero, out]) if is_bool else mask.name)
    if write.operation.is_causal:
        rows, columns = (write.inputs[index].shape[-2] or 1 for index in (0, 1))
        later = np.triu(np.ones((rows, columns), bool), 1)
        causal = np.where(later, np.float32(-np.inf), np.float32(0.0))
        found.append(graph.constant(f"{write.output.name}/causal", causal))
    return found


RULES: Mapping[type[Any], FloatRule] = {ScaledDotProductAttention: _attention}
