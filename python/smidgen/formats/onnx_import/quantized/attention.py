"""Finds the attention that exported programs write out as products and a softmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from smidgen.formats.onnx_import.quantized.network import Network
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import OpKind

_BY_HEADS = (0, 2, 1, 3)
_KEYS = (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention on rows of all heads; reads queries, keys, values, and perhaps a mask.

    Attributes:
        heads: Number of heads.
        head_size: Features of each.
        scale: By what the products are multiplied.
        offsets: At which feature queries, keys and values begin.
    """

    kind: ClassVar[OpKind] = OpKind.ATTENTION
    heads: int
    head_size: int
    scale: float
    offsets: tuple[int, int, int]


def join_attention(network: Network, weights: Mapping[str, np.ndarray]) -> Sequence[ExportedNode]:
    """Returns the nodes with one in place of those that an attention was exported as."""
    return [_joined(network, weights, node) or node for node in network.nodes]


def _joined(
    network: Network, weights: Mapping[str, np.ndarray], node: ExportedNode
) -> ExportedNode | None:
    """Matches Reshape(Transpose(softmax(scale * q @ k [+ mask]) @ v))."""
    if not isinstance(node.operation, ops.Reshape):
        return None
    mixed = network.made_by(node, 0, ops.Transpose)
    product = network.made_by(mixed, 0, ops.MatMul) if mixed else None
    softmax = network.made_by(product, 0, ops.Softmax) if product else None
    if mixed is None or product is None or softmax is None:
        return None
    masked = network.made_by(softmax, 0, ops.Add)
    scaled = network.made_by(masked or softmax, 0, ops.Multiply)
    scores = network.made_by(scaled, 0, ops.MatMul) if scaled else None
    if scaled is None or scores is None:
        return None
    factor = network.maker(scaled.inputs[1])
    if factor is None or not isinstance(factor.operation, ops.Constant):
        return None
    parts = [
        _heads(network, maker, index, order)
        for maker, index, order in (
            (scores, 0, _BY_HEADS), (scores, 1, _KEYS), (product, 1, _BY_HEADS)
        )
    ]  # fmt: skip
    found = [part for part in parts if part is not None]
    if len(found) != 3 or mixed.operation != ops.Transpose(_BY_HEADS):
        return None
    heads, size = found[0][2]
    joined = Attention(
        heads,
        size,
        float(weights[factor.operation.name].reshape(-1)[0]),
        (found[0][1], found[1][1], found[2][1]),
    )
    inputs = (*(part[0] for part in found), *(masked.inputs[1:] if masked else ()))
    return replace(node, operation=joined, inputs=inputs)  # type: ignore[arg-type]  # ours alone


def _heads(
    network: Network, reader: ExportedNode, index: int, order: tuple[int, ...]
) -> tuple[int, int, tuple[int, int]] | None:
    """Returns the rows that are read by heads, their first feature, and heads and their size."""
    moved = network.made_by(reader, index, ops.Transpose)
    cut = network.made_by(moved, 0, ops.Reshape) if moved else None
    if moved is None or cut is None or moved.operation != ops.Transpose(order):
        return None
    if len(cut.shape) != 4 or cut.shape[2] is None or cut.shape[3] is None:
        return None
    heads = (cut.shape[2], cut.shape[3])
    part = network.made_by(cut, 0, ops.Slice)
    if part is None or not isinstance(part.operation, ops.Slice):
        return cut.inputs[0], 0, heads
    return part.inputs[0], part.operation.start, heads
