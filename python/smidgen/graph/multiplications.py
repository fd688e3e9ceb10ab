"""How many multiplications and additions a float model's operations take. Needs no torch."""

from __future__ import annotations

import math

from smidgen.graph.exported import ExportedModel, ExportedNode
from smidgen.graph.operations import (
    Conv2d,
    ConvTranspose2d,
    Linear,
    MatMul,
    ScaledDotProductAttention,
    Shape,
)


def node_multiplications(model: ExportedModel, batch: int) -> tuple[int, ...]:
    """Returns the multiply-accumulates of each node; 0 for one that does no dot products."""
    shapes = dict(enumerate(spec.shape for spec in model.inputs))
    shapes |= {node.output: node.shape for node in model.nodes}
    return tuple(
        _count(model, node, [_extents(shapes[value], batch) for value in node.inputs], batch)
        for node in model.nodes
    )


def _count(model: ExportedModel, node: ExportedNode, inputs: list[list[int]], batch: int) -> int:
    outputs = math.prod(_extents(node.shape, batch))
    match node.operation:
        case Conv2d(weight):
            return outputs * math.prod(model.weights[weight].shape[1:])
        case ConvTranspose2d(weight):
            return math.prod(inputs[0]) * math.prod(model.weights[weight].shape[1:])
        case Linear() | MatMul():
            return outputs * inputs[0][-1]
        case ScaledDotProductAttention():
            query, key = inputs[:2]
            scores = math.prod(query[:-1]) * key[-2]
            return scores * query[-1] + outputs * key[-2]
        case _:
            return 0


def _extents(shape: Shape, batch: int) -> list[int]:
    """Returns the extents of a value; those that are not known are the batch."""
    return [batch if extent is None else extent for extent in shape]
