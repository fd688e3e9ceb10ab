"""Finds functions that ONNX has no operator for in the nodes that exporters write them as."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from smidgen.formats.onnx_import.quantized.network import Network
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import OpKind

_TOLERANCE = 1e-6  # exporters write numbers in float32


def join_functions(network: Network, weights: Mapping[str, np.ndarray]) -> Sequence[ExportedNode]:
    """Returns the nodes with one in place of the last of those that a function was written as."""
    finder = _Finder(network, weights)
    return [finder.joined(node) for node in network.nodes]


class _Finder:
    def __init__(self, network: Network, weights: Mapping[str, np.ndarray]) -> None:
        self._network = network
        self._weights = weights

    def joined(self, node: ExportedNode) -> ExportedNode:
        """Returns the function that a node ends, of its operand; other nodes as they are."""
        for find in (self._gated, self._gelu, self._gelu_tanh, self._rsqrt):
            found = find(node)
            if found is not None:
                operation, value = found
                return replace(node, operation=operation, inputs=(value,))
        return node

    def _gated(self, node: ExportedNode) -> tuple[ops.Operation, int] | None:
        """X sigmoid(x) and x tanh(softplus(x))."""
        if node.operation.kind is not OpKind.MULTIPLY:
            return None
        for value, gate in (node.inputs, node.inputs[::-1]):
            if self._read(gate, OpKind.SIGMOID) == value:
                return ops.Unary(OpKind.SILU), value
            inner = self._read(gate, OpKind.TANH)
            if inner is not None and self._read(inner, OpKind.SOFTPLUS) == value:
                return ops.Unary(OpKind.MISH), value
        return None

    def _gelu(self, node: ExportedNode) -> tuple[ops.Operation, int] | None:
        """0.5 (x (1 + erf(x / sqrt 2)))."""
        doubled = self._beside_number(node, OpKind.MULTIPLY, 0.5)
        product = self._made(doubled, OpKind.MULTIPLY)
        if product is None:
            return None
        for value, gate in (product.inputs, product.inputs[::-1]):
            error = self._beside_number(self._made(gate, OpKind.ADD), OpKind.ADD, 1.0)
            inner = None if error is None else self._read(error, OpKind.ERF)
            divided = self._made(inner, OpKind.DIV)
            if self._beside_number(divided, OpKind.DIV, math.sqrt(2.0)) == value:
                return ops.Gelu(), value
        return None

    def _gelu_tanh(self, node: ExportedNode) -> tuple[ops.Operation, int] | None:
        """X (0.5 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))))."""
        if node.operation.kind is not OpKind.MULTIPLY:
            return None
        for value, gate in (node.inputs, node.inputs[::-1]):
            halved = self._made(gate, OpKind.MULTIPLY)
            grown = self._beside_number(halved, OpKind.MULTIPLY, 0.5)
            tangent = self._beside_number(self._made(grown, OpKind.ADD), OpKind.ADD, 1.0)
            inner = None if tangent is None else self._read(tangent, OpKind.TANH)
            scaled = self._made(inner, OpKind.MULTIPLY)
            total = self._beside_number(scaled, OpKind.MULTIPLY, math.sqrt(2.0 / math.pi))
            if self._is_cubic(self._made(total, OpKind.ADD), value):
                return ops.Gelu("tanh"), value
        return None

    def _is_cubic(self, total: ExportedNode | None, value: int) -> bool:
        """Tells whether a node is x + 0.044715 x^3."""
        if total is None or value not in total.inputs:
            return False
        (other, *_) = [found for found in total.inputs if found != value] or [value]
        small = self._made(other, OpKind.MULTIPLY)
        cubed = self._made(self._beside_number(small, OpKind.MULTIPLY, 0.044715), OpKind.POW)
        return cubed is not None and cubed.operation == ops.Pow(3.0) and cubed.inputs[0] == value

    def _rsqrt(self, node: ExportedNode) -> tuple[ops.Operation, int] | None:
        if node.operation.kind is not OpKind.RECIPROCAL:
            return None
        value = self._read(node.inputs[0], OpKind.SQRT)
        return None if value is None else (ops.Unary(OpKind.RSQRT), value)

    def _made(self, value: int | None, kind: OpKind) -> ExportedNode | None:
        """Returns the node of this kind that makes a value."""
        node = None if value is None else self._network.maker(value)
        return node if node is not None and node.operation.kind is kind else None

    def _read(self, value: int, kind: OpKind) -> int | None:
        """Returns what the function of this kind that makes a value reads."""
        node = self._made(value, kind)
        return None if node is None else node.inputs[0]

    def _beside_number(self, node: ExportedNode | None, kind: OpKind, number: float) -> int | None:
        """Returns the operand beside a number; of a quotient the number is the divisor."""
        if node is None or node.operation.kind is not kind or len(node.inputs) != 2:
            return None
        orders = (node.inputs, node.inputs[::-1])
        for value, other in orders[:1] if kind is OpKind.DIV else orders:
            found = self._number(other)
            if found is not None and math.isclose(found, number, rel_tol=_TOLERANCE):
                return value
        return None

    def _number(self, value: int) -> float | None:
        node = self._made(value, OpKind.CONSTANT)
        if node is None or not isinstance(node.operation, ops.Constant):
            return None
        array = self._weights[node.operation.name]
        return float(array.reshape(-1)[0]) if array.size == 1 else None
