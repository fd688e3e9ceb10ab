"""Linear layers that scale each row while they run, as exported programs write them out.

ONNX has no operator that quantizes rows by their own ranges, so such a layer is exported as some
twenty nodes. They are followed from the cast to bytes up to the sum with the bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from smidgen.formats.onnx_import.call import Call, Foreign, Input
from smidgen.formats.onnx_import.quantized.operands import QuantizedConstant
from smidgen.graph import operations as ops
from smidgen.graph.arguments import Activation, Constant, UnsupportedCase, Weight
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import OpKind


@dataclass(frozen=True, slots=True)
class DynamicLinear:
    """A linear layer of floats that quantizes each row of its input by the row's own range."""

    kind: ClassVar[OpKind] = OpKind.DYNAMIC_LINEAR
    weight: str
    bias: str | None


@dataclass(frozen=True, slots=True)
class RowBytes(Foreign):
    """The rows of a value in bytes, each with a scale of its own."""

    source: Activation


@dataclass(frozen=True, slots=True, eq=False)
class RowSums(Foreign):
    """The sums of products of such rows.

    Attributes:
        source: The value before it became bytes.
        weight: [I, O] int8.
        scales: [O], where the sums have been multiplied by them.
    """

    source: Activation
    weight: NDArray[np.int8]
    scales: NDArray[np.float32] | None = None


def row_bytes(call: Call) -> RowBytes | None:
    """Returns what a Cast to uint8 of clamp(round(x / scale) + zero_point) gives."""
    value = call.operand(0)
    if call.integer("to") != TensorProto.UINT8 or not isinstance(value, Activation):
        return None
    makers = {node.output: node for node in call.assembly.nodes[-64:]}
    number = value.number
    for kind in (OpKind.CLAMP, OpKind.ADD, OpKind.ROUND, OpKind.DIV):
        node = makers.get(number)
        if node is None or node.operation.kind is not kind:
            return None
        number = node.inputs[0]
    return RowBytes(replace(value, number=number))


def row_sums(call: Call) -> RowSums:
    """Returns what MatMulInteger of rows and a constant gives."""
    rows = call.operand(0)
    weight = call.array(1)
    if not isinstance(rows, RowBytes) or weight.dtype != np.int8 or weight.ndim != 2:
        raise UnsupportedCase("other than rows of bytes by a matrix of int8")
    return RowSums(rows.source, weight)


def scaled_sums(call: Call, sums: RowSums, factor: Input | None) -> RowSums:
    """Returns sums times the scales of rows and outputs."""
    makers = {node.output: node for node in call.assembly.nodes[-64:]}
    node = makers.get(factor.number) if isinstance(factor, Activation) else None
    constant = makers.get(node.inputs[-1]) if node is not None else None
    operation = constant.operation if constant is not None else None
    if not isinstance(operation, ops.Constant):
        raise UnsupportedCase("sums of products that are not scaled by row and output")
    scales = call.assembly.weight_array(operation.name)
    if scales.shape != sums.weight.shape[1:] or scales.dtype != np.float32:
        raise UnsupportedCase("sums of products with other than a scale for each output")
    return replace(sums, scales=np.asarray(scales, np.float32))


def weight_of(sums: RowSums) -> QuantizedConstant:
    """Returns the weight [O, I] of a layer."""
    assert sums.scales is not None
    scales = sums.scales.reshape(-1, 1)
    return QuantizedConstant(sums.weight.T, scales, np.zeros(scales.shape, np.int64))


def is_vector(value: Input | None, extent: int) -> bool:
    """Tells whether an operand is a constant bias."""
    return isinstance(value, Weight | Constant) and value.shape == (extent,)


def with_dynamic_layers(
    nodes: Sequence[ExportedNode], names: frozenset[str]
) -> Sequence[ExportedNode]:
    """Makes the linear layers with these weights such that scale rows."""
    return [_with_dynamic(node, names) for node in nodes]


def _with_dynamic(node: ExportedNode, names: frozenset[str]) -> ExportedNode:
    match node.operation:
        case ops.Linear(weight, bias) if weight in names:
            layer = DynamicLinear(weight, bias)
            return replace(node, operation=layer)  # type: ignore[arg-type]  # ours alone
        case _:
            return node
