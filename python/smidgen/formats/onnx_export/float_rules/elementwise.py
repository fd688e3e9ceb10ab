"""Functions of the elements of one or more tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper

from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write
from smidgen.formats.onnx_export.functions import EXPORTS
from smidgen.formats.onnx_export.rules.elementwise import COMPARISONS
from smidgen.graph.operations import (
    Add,
    Binary,
    Cast,
    Clamp,
    Compare,
    Elu,
    Gelu,
    LeakyRelu,
    Multiply,
    OpKind,
    Pow,
    PRelu,
    Unary,
    Where,
)

BINARY: Mapping[OpKind, str] = {
    OpKind.SUB: "Sub",
    OpKind.DIV: "Div",
    OpKind.MINIMUM: "Min",
    OpKind.MAXIMUM: "Max",
    OpKind.AND: "And",
    OpKind.OR: "Or",
}


def _function(write: Write, name: str, *parameters: float) -> None:
    graph = write.graph
    graph.name(EXPORTS[name](graph, write.names[0], *parameters), write.output.name)


def _unary(write: Write) -> None:
    if write.operation.kind is OpKind.RELU6:
        _function(write, "clamp", 0.0, 6.0)
    else:
        _function(write, write.operation.kind.value)


def _clamp(write: Write) -> None:
    clamp: Clamp = write.operation
    bounds = [
        "" if bound is None else write.graph.number(bound)
        for bound in (clamp.minimum, clamp.maximum)
    ]
    write.node("Clip", [*write.names, *bounds])


def _gelu(write: Write) -> None:
    _function(write, "gelu_tanh" if write.operation.approximate == "tanh" else "gelu")


def _leaky_relu(write: Write) -> None:
    _function(write, "leaky_relu", write.operation.negative_slope)


def _elu(write: Write) -> None:
    _function(write, "elu", write.operation.alpha)


def _pow(write: Write) -> None:
    _function(write, "pow", write.operation.exponent)


def _prelu(write: Write) -> None:
    """The slopes lie along axis 1, and what ONNX broadcasts counts from the last one."""
    slopes = write.graph.array(write.operation.weight)
    shaped = slopes.reshape(-1, *[1] * max(len(write.inputs[0].shape) - 2, 0))
    write.node("PRelu", [*write.names, write.graph.constant(f"{write.output.name}/slope", shaped)])


def _add(write: Write) -> None:
    write.node("Add", write.names)


def _multiply(write: Write) -> None:
    write.node("Mul", write.names)


def _binary(write: Write) -> None:
    write.node(BINARY[write.operation.kind], write.names)


def _compare(write: Write) -> None:
    if write.operation.function == "ne":
        write.node("Not", [write.graph.node("Equal", write.names)])
    else:
        write.node(COMPARISONS[write.operation.function], write.names)


def _where(write: Write) -> None:
    write.node("Where", write.names)


def _cast(write: Write) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(write.operation.dtype))
    write.node("Cast", write.names, to=kind)


RULES: Mapping[type[Any], FloatRule] = {
    Unary: _unary,
    Clamp: _clamp,
    Gelu: _gelu,
    LeakyRelu: _leaky_relu,
    Elu: _elu,
    Pow: _pow,
    PRelu: _prelu,
    Add: _add,
    Multiply: _multiply,
    Binary: _binary,
    Compare: _compare,
    Where: _where,
    Cast: _cast,
}
