"""Finds sums of quantized values that are written in units of the scale of their result.

Exported programs write `scale * round(l * m_l + r * m_r)` in front of QuantizeLinear, where the
bytes l and r are dequantized by m = fl(s / scale) in place of their own scales s: the arithmetic of
the step Add, in operators that no runtime rounds otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from smidgen.formats.onnx_import.quantized.network import Network
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import OpKind

Weights = Mapping[str, np.ndarray]


def join_sums(network: Network, weights: Weights) -> Sequence[ExportedNode]:
    """Returns the nodes with sums of real values in place of those in units of their scale.

    The steps of both give the same bytes. A sum whose operands' scales are not known stays.
    """
    replaced: dict[int, ExportedNode] = {}
    for node in network.nodes:
        if isinstance(node.operation, ops.Quantized):
            replaced |= _joined(network, weights, node, np.float32(node.operation.scale))
    return [replaced.get(node.output, node) for node in network.nodes]


def _joined(
    network: Network, weights: Weights, node: ExportedNode, scale: np.float32
) -> dict[int, ExportedNode]:
    """Returns the nodes that become others so that a node quantizes a sum; none if it does not."""
    product = network.made_by(node, 0, ops.Multiply)
    rounded = network.made_by(product, 0, ops.Unary) if product is not None else None
    total = network.made_by(rounded, 0, ops.Add) if rounded is not None else None
    if product is None or rounded is None or total is None:
        return {}
    is_in_units = (
        rounded.operation.kind is OpKind.ROUND
        and _number(network, weights, product.inputs[1]) == scale
        and len({network.shape(value) for value in total.inputs} | {product.shape}) == 1
    )
    found = [_operand(network, weights, total, index, scale) for index in (0, 1)]
    operands = [operand for operand in found if operand is not None]
    if not is_in_units or len(operands) != 2:
        return {}
    inputs = tuple(value for value, _ in operands)
    replaced = {made.output: made for _, made in operands if made is not None}
    return replaced | {
        product.output: replace(product, operation=ops.Add(), inputs=inputs),
    }


def _number(network: Network, weights: Weights, value: int) -> np.float32 | None:
    node = network.maker(value)
    if node is None or not isinstance(node.operation, ops.Constant):
        return None
    array = weights[node.operation.name]
    return np.float32(array.reshape(-1)[0]) if array.size == 1 else None


def _operand(
    network: Network, weights: Weights, total: ExportedNode, index: int, scale: np.float32
) -> tuple[int, ExportedNode | None] | None:
    """Returns a value with the bytes of an operand and a scale of which the operand has the ratio.

    Beside it stands the node that must change for that, if one must.
    """
    value = total.inputs[index]
    node = network.maker(value)
    if node is None or not isinstance(node.operation, ops.Quantized | ops.Tabulated):
        return None
    ratio = np.float32(node.operation.scale)
    if isinstance(node.operation, ops.Tabulated):
        for other in _with_same_bytes(network, weights, node):
            assert isinstance(other.operation, ops.Quantized | ops.Tabulated)
            if np.float32(other.operation.scale) / scale == ratio:
                return other.output, None
        if network.made_by(total, index, ops.Tabulated) is not None:
            for candidate in _near(ratio * scale):
                if candidate / scale == ratio:
                    changed = replace(node.operation, scale=float(candidate))
                    return value, replace(node, operation=changed)
    return (value, None) if ratio / scale == ratio else None


def _with_same_bytes(
    network: Network, weights: Weights, node: ExportedNode
) -> Iterator[ExportedNode]:
    """Yields the nodes before a table that give its bytes, perhaps with another scale."""
    assert isinstance(node.operation, ops.Tabulated)
    table, source = weights[node.operation.table], network.maker(node.inputs[0])
    zero_point = node.operation.zero_point
    if (
        np.array_equal(table, np.arange(256))
        and source is not None
        and isinstance(source.operation, ops.Quantized | ops.Tabulated)
        and source.operation.zero_point == zero_point
    ):
        yield source
    for other in network.tables_of(node.inputs[0]):
        operation = other.operation
        assert isinstance(operation, ops.Tabulated)
        is_before = other.output < node.output and operation.zero_point == zero_point
        if is_before and np.array_equal(table, weights[operation.table]):
            yield other


def _near(value: np.float32) -> Iterator[np.float32]:
    """Yields a number and those beside it: one of them over a scale is the rounded ratio."""
    yield value
    yield np.nextafter(value, np.float32(0.0))
    yield np.nextafter(value, np.float32(np.inf))
