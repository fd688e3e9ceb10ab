"""The steps of nodes that work on values as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from smidgen import program as steps
from smidgen.formats.onnx_import.quantized import float_layers, float_windows
from smidgen.formats.onnx_import.quantized.dynamic import DynamicLinear
from smidgen.formats.onnx_import.quantized.functions import clamp_bounds
from smidgen.formats.onnx_import.quantized.integer_steps import (
    layer_constants,
    moving_step,
)
from smidgen.formats.onnx_import.quantized.operands import QuantizedConstant
from smidgen.formats.onnx_import.quantized.plan import LAYERS_WITHOUT_FLOATS
from smidgen.formats.onnx_import.quantized.weights import UnsupportedWeightsError, weight_integers
from smidgen.formats.onnx_import.quantized.writer import Writer
from smidgen.functional import quantize_weight
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import OpKind
from smidgen.program import UNARY_PARAMETERS
from smidgen.qparams import symmetric_weight_scales

_LARGEST = float(np.finfo(np.float32).max)
_BINARY = {
    OpKind.ADD: "add", OpKind.SUB: "sub", OpKind.MULTIPLY: "mul", OpKind.DIV: "div",
    OpKind.MINIMUM: "minimum", OpKind.MAXIMUM: "maximum", OpKind.AND: "and", OpKind.OR: "or",
}  # fmt: skip
_MOVING = (
    ops.Reshape, ops.Flatten, ops.Transpose, ops.Slice, ops.Expand, ops.Pad, ops.Concat,
)  # fmt: skip


def has_float_step(node: ExportedNode) -> bool:
    """Tells whether a node can be computed from values as they are."""
    operation = node.operation
    if isinstance(operation, LAYERS_WITHOUT_FLOATS):
        return False
    if isinstance(operation, ops.Unary):
        return operation.kind in UNARY_PARAMETERS or operation.kind is OpKind.RELU6
    return operation.kind in _BINARY or type(operation) in _RULES


def write_plain(writer: Writer, node: ExportedNode) -> None:
    """Writes a value as it is, of a node that has_float_step accepts."""
    if node.operation.kind in _BINARY:
        lhs, rhs = (writer.plain(value) for value in node.inputs)
        function = _BINARY[node.operation.kind]
        writer.add(steps.Binary(lhs, rhs, writer.define_plain(node), function))
        return
    _RULES[type(node.operation)](writer, node)


def _unary(writer: Writer, node: ExportedNode) -> None:
    function, parameters = _function(node.operation)
    source = writer.plain(node.inputs[0])
    numbers = tuple(float(np.float32(number)) for number in parameters)
    writer.add(steps.Unary(source, writer.define_plain(node), function, numbers))


def _function(  # noqa: PLR0911 - one for each
    operation: ops.Operation,
) -> tuple[str, tuple[float, ...]]:
    match operation:
        case ops.Gelu(approximate):
            return ("gelu_tanh" if approximate == "tanh" else "gelu"), ()
        case ops.LeakyRelu(slope):
            return "leaky_relu", (slope,)
        case ops.Elu(alpha):
            return "elu", (alpha,)
        case ops.Pow(exponent):
            return "pow", (exponent,)
        case ops.Unary(kind) if kind is not OpKind.RELU6:
            return kind.value, ()
        case _:
            low, high = clamp_bounds(operation)
            if (low, high) == (0.0, math.inf):
                return "relu", ()
            return "clamp", (max(low, -_LARGEST), min(high, _LARGEST))


def _move(writer: Writer, node: ExportedNode) -> None:
    sources = [writer.plain(value) for value in node.inputs]
    shapes = [writer.plan.shapes[value] for value in node.inputs]
    writer.add(moving_step(node, sources, shapes, writer.define_plain(node)))


def _constant(writer: Writer, node: ExportedNode) -> None:
    assert isinstance(node.operation, ops.Constant)
    values = np.asarray(writer.weights[node.operation.name])
    output = writer.define_plain(node)
    stored = writer.constant(f"{output}.value", values.reshape(values.shape or (1,)))
    writer.add(steps.ConstantTensor(output, stored))


def _linear(writer: Writer, node: ExportedNode) -> None:
    """Writes a linear layer of bytes that gives floats, or one that is a product of floats."""
    layer = node.operation
    assert isinstance(layer, ops.Linear)
    number = node.inputs[0]
    if number in writer.plan.exact and layer.weight in writer.constants and len(node.shape) != 4:
        constants = layer_constants(writer, node, layer)
        source = writer.bytes_of(number)
        writer.add(steps.Linear(source, writer.define_plain(node), *constants))
        return
    weight = np.asarray(writer.weights[layer.weight])
    matrix = writer.plain_constant(node, "matrix", weight.T if layer.is_transposed else weight)
    source = writer.plain(number)
    if layer.bias is None:
        writer.add(steps.MatMul(source, matrix, writer.define_plain(node), transpose_rhs=True))
        return
    product = writer.new_plain(node, "product", node.shape)
    writer.add(steps.MatMul(source, matrix, product, transpose_rhs=True))
    bias = writer.plain_constant(node, "bias", np.asarray(writer.weights[layer.bias]))
    writer.add(steps.Binary(product, bias, writer.define_plain(node), "add"))


def _dynamic_linear(writer: Writer, node: ExportedNode) -> None:
    layer = node.operation
    assert isinstance(layer, DynamicLinear)
    plain = ops.Linear(layer.weight, layer.bias)
    values, scales = weight_integers(plain, writer.constants[layer.weight])
    bias = np.zeros(len(scales), np.float32) if layer.bias is None else writer.weights[layer.bias]
    names = [
        writer.constant(f"{node.label}.{role}", np.asarray(array))
        for role, array in (("weight", values), ("weight_scale", scales), ("bias", bias))
    ]
    source = writer.plain(node.inputs[0])
    writer.add(steps.DynamicLinear(source, writer.define_plain(node), *names))


def _batch_norm(writer: Writer, node: ExportedNode) -> None:
    """Writes x * factor + offset for each channel."""
    norm = node.operation
    assert isinstance(norm, ops.BatchNorm)
    weights = writer.weights
    deviation = np.sqrt(weights[norm.running_var].astype(np.float64) + norm.eps)
    factor = 1.0 / deviation
    if norm.weight is not None:
        factor = weights[norm.weight].astype(np.float64) * factor
    offset = -weights[norm.running_mean].astype(np.float64) * factor
    if norm.bias is not None:
        offset = offset + weights[norm.bias].astype(np.float64)
    spread = (-1, *(1,) * (len(node.shape) - 2))
    factors, offsets = (
        writer.plain_constant(node, role, values.astype(np.float32).reshape(spread))
        for role, values in (("factor", factor), ("offset", offset))
    )
    scaled = writer.new_plain(node, "scaled", node.shape)
    writer.add(steps.Binary(writer.plain(node.inputs[0]), factors, scaled, "mul"))
    writer.add(steps.Binary(scaled, offsets, writer.define_plain(node), "add"))


def _layer_norm(writer: Writer, node: ExportedNode) -> None:
    norm = node.operation
    assert isinstance(norm, ops.LayerNorm)
    names = [
        name if name is None else writer.constant(f"{node.label}.{role}", writer.weights[name])
        for role, name in (("weight", norm.weight), ("bias", norm.bias))
    ]
    source = writer.plain(node.inputs[0])
    epsilon = float(np.float32(norm.eps))
    writer.add(steps.LayerNorm(source, writer.define_plain(node), epsilon, *names))


def _prelu(writer: Writer, node: ExportedNode) -> None:
    """Writes relu(x) + slope * min(x, 0)."""
    assert isinstance(node.operation, ops.PRelu)
    slopes = np.asarray(writer.weights[node.operation.weight])
    spread = slopes if slopes.size == 1 else slopes.reshape(-1, *(1,) * (len(node.shape) - 2))
    slope = writer.plain_constant(node, "slope", spread)
    zero = writer.plain_constant(node, "zero", np.zeros(1, np.float32))
    positive, negative, scaled = (
        writer.new_plain(node, role, node.shape) for role in ("positive", "negative", "scaled")
    )
    source = writer.plain(node.inputs[0])
    writer.add(steps.Unary(source, positive, "relu"))
    writer.add(steps.Binary(source, zero, negative, "minimum"))
    writer.add(steps.Binary(negative, slope, scaled, "mul"))
    writer.add(steps.Binary(positive, scaled, writer.define_plain(node), "add"))


def _log_softmax(writer: Writer, node: ExportedNode) -> None:
    """Writes x - max - log(sum(exp(x - max)))."""
    assert isinstance(node.operation, ops.LogSoftmax)
    axis, shape = node.operation.axis, node.shape
    row = (*shape[:axis], 1, *shape[axis + 1 :])
    largest, total, shift = (writer.new_plain(node, role, row) for role in ("max", "sum", "log"))
    centred, powers = (writer.new_plain(node, role, shape) for role in ("centred", "exp"))
    source = writer.plain(node.inputs[0])
    writer.add(steps.Reduce(source, largest, "maximum", (axis,), keep_dims=True))
    writer.add(steps.Binary(source, largest, centred, "sub"))
    writer.add(steps.Unary(centred, powers, "exp"))
    writer.add(steps.Reduce(powers, total, "sum", (axis,), keep_dims=True))
    writer.add(steps.Unary(total, shift, "log"))
    writer.add(steps.Binary(centred, shift, writer.define_plain(node), "sub"))


def _embedding(writer: Writer, node: ExportedNode) -> None:
    """Writes a table of rows, with the file's integers where it has one scale for each row."""
    assert isinstance(node.operation, ops.Embedding)
    name = node.operation.weight
    rows, scales = _rows(writer.constants.get(name), np.asarray(writer.weights[name]))
    label = node.label or f"value.{node.output}"
    table = writer.constant(f"{label}.table", rows)
    table_scale = writer.constant(f"{label}.table_scale", scales)
    indices = writer.plain(node.inputs[0])
    writer.add(steps.Embedding(indices, writer.define_plain(node), table, table_scale))


def _rows(constant: QuantizedConstant | None, reals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if constant is None:
        scales = symmetric_weight_scales(reals)
        return quantize_weight(reals, scales), scales
    centred = constant.centred()
    if constant.scales.shape[1] != 1 or np.abs(centred).max(initial=0) > 127:
        raise UnsupportedWeightsError(
            "has rows that are no int8 from -127 to 127 with one scale for each row"
        )
    return centred.astype(np.int8), np.array(
        np.broadcast_to(constant.scales[:, 0], len(centred)), np.float32
    )


def _reduce(writer: Writer, node: ExportedNode) -> None:
    match node.operation:
        case ops.Reduce(function, axes, keep_dims):
            fields = (function, axes, keep_dims)
        case _:
            fields = ("mean", (2, 3), True)
    source = writer.plain(node.inputs[0])
    writer.add(steps.Reduce(source, writer.define_plain(node), *fields))


def _softmax(writer: Writer, node: ExportedNode) -> None:
    assert isinstance(node.operation, ops.Softmax)
    source = writer.plain(node.inputs[0])
    writer.add(steps.Softmax(source, writer.define_plain(node), node.operation.axis))


def _product(writer: Writer, node: ExportedNode) -> None:
    lhs, rhs = (writer.plain(value) for value in node.inputs)
    writer.add(steps.MatMul(lhs, rhs, writer.define_plain(node)))


def _compare(writer: Writer, node: ExportedNode) -> None:
    assert isinstance(node.operation, ops.Compare)
    lhs, rhs = (writer.plain(value) for value in node.inputs)
    writer.add(steps.Compare(lhs, rhs, writer.define_plain(node), node.operation.function))


def _where(writer: Writer, node: ExportedNode) -> None:
    condition, lhs, rhs = (writer.plain(value) for value in node.inputs)
    writer.add(steps.Where(condition, lhs, rhs, writer.define_plain(node)))


def _cast(writer: Writer, node: ExportedNode) -> None:
    writer.add(steps.Cast(writer.plain(node.inputs[0]), writer.define_plain(node)))


def _same(writer: Writer, node: ExportedNode) -> None:
    writer.name_plain(node.output, writer.plain(node.inputs[0]))


_RULES: Mapping[type[Any], Callable[[Writer, ExportedNode], None]] = {
    **dict.fromkeys((ops.Unary, ops.Clamp, ops.Gelu, ops.LeakyRelu, ops.Elu, ops.Pow), _unary),
    **dict.fromkeys(_MOVING, _move),
    **dict.fromkeys((ops.Reduce, ops.GlobalAveragePool), _reduce),
    ops.AveragePool: float_windows.write_average_pool,
    ops.BatchNorm: _batch_norm,
    ops.Cast: _cast,
    ops.Compare: _compare,
    ops.Conv2d: float_layers.write_conv,
    ops.ConvTranspose2d: float_layers.write_conv_transpose,
    ops.MaxPool: float_windows.write_max_pool,
    ops.Constant: _constant,
    ops.Dropout: _same,
    DynamicLinear: _dynamic_linear,
    ops.Embedding: _embedding,
    ops.LayerNorm: _layer_norm,
    ops.Linear: _linear,
    ops.LogSoftmax: _log_softmax,
    ops.MatMul: _product,
    ops.PRelu: _prelu,
    ops.Resize: float_windows.write_repeated,
    ops.Softmax: _softmax,
    ops.Where: _where,
}
