"""Calls of functions of each element, and of pairs of elements. Needs no torch."""

from __future__ import annotations

import numpy as np

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    ArgumentError,
    Arguments,
    Constant,
    Statistic,
    Tensor,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.lowered import Computed, Forwarded, Lowered
from smidgen.graph.operations import BOOL, FLOAT32, INT64, OpKind


def unary(kind: OpKind) -> ops.Unary:
    """Makes a function of one number without parameters."""
    return ops.Unary(kind)


def clamp(arguments: Arguments) -> Lowered:
    """aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default."""
    bounds = arguments.optional_number("min"), arguments.optional_number("max")
    return Computed((_clamp(*bounds),), (arguments.tensor("self"),))


def hardtanh(arguments: Arguments) -> Lowered:
    """aten.hardtanh.default; ReLU6 is written so."""
    bounds = arguments.number("min_val"), arguments.number("max_val")
    return Computed((_clamp(*bounds),), (arguments.activation("self"),))


def _clamp(minimum: float | None, maximum: float | None) -> ops.Operation:
    if minimum is None and maximum is None:
        raise ArgumentError("it has neither a minimum nor a maximum")
    if minimum is not None and maximum is not None and minimum >= maximum:
        raise UnsupportedCase(f"a minimum of {minimum} with a maximum of {maximum}")
    if minimum == 0 and maximum is None:
        return ops.Unary(OpKind.RELU)
    if minimum == 0 and maximum == 6:
        return ops.Unary(OpKind.RELU6)
    return ops.Clamp(minimum, maximum)


def gelu(arguments: Arguments) -> Lowered:
    """aten.gelu.default."""
    approximate = arguments["approximate"]
    if approximate not in ("none", "tanh"):
        raise ArgumentError("its approximation is neither 'none' nor 'tanh'")
    return Computed((ops.Gelu(str(approximate)),), (arguments.activation("self"),))


def leaky_relu(arguments: Arguments) -> Lowered:
    """aten.leaky_relu.default."""
    operation = ops.LeakyRelu(arguments.number("negative_slope"))
    return Computed((operation,), (arguments.activation("self"),))


def elu(arguments: Arguments) -> Lowered:
    """aten.elu.default."""
    if arguments.number("scale") != 1 or arguments.number("input_scale") != 1:
        raise UnsupportedCase("a scale other than 1")
    return Computed((ops.Elu(arguments.number("alpha")),), (arguments.activation("self"),))


def add(arguments: Arguments) -> Lowered:
    """aten.add.Tensor: of two values, or of one to the counter of a batch normalization."""
    first, second = arguments["self"], arguments["other"]
    is_counter = isinstance(first, Weight) and first.dtype == "int64" and not first.shape
    if isinstance(first, Weight) and is_counter and second == 1:
        return Forwarded(Statistic(first.name))
    if isinstance(first, Statistic) and second == 1:
        return Forwarded(first)
    if arguments.number("alpha") != 1:
        raise UnsupportedCase("alpha other than 1")
    return Computed((ops.Add(),), operand_pair(arguments))


def operand_pair(arguments: Arguments) -> tuple[Tensor | Computed, Tensor | Computed]:
    """Returns self and other with one element type; one of them may be a number."""
    if isinstance(arguments["other"], int | float):
        return _with_number(arguments, "self", "other")
    if isinstance(arguments["self"], int | float):
        second, number = _with_number(arguments, "other", "self")
        return number, second
    first, second = arguments.tensor("self"), arguments.tensor("other")
    for dtype in (FLOAT32, INT64, BOOL):
        if dtype in (first.dtype, second.dtype):
            return _cast(first, dtype), _cast(second, dtype)
    raise UnsupportedCase(f"operands of type {first.dtype} and {second.dtype}")


def _with_number(
    arguments: Arguments, tensor: str, number: str
) -> tuple[Tensor | Computed, Constant]:
    """Returns a tensor and a number as a constant, with one element type."""
    value, stated = arguments.tensor(tensor), arguments[number]
    exact = stated if isinstance(stated, int) else arguments.number(number)
    if isinstance(stated, float) and value.dtype != FLOAT32:
        return _cast(value, FLOAT32), Constant(np.array(exact, np.float32))
    return value, Constant(np.array(exact, value.dtype))


def _cast(value: Tensor, dtype: str) -> Tensor | Computed:
    return value if value.dtype == dtype else Computed((ops.Cast(dtype),), (value,))


def multiply(arguments: Arguments) -> Lowered:
    """aten.mul.Tensor."""
    return Computed((ops.Multiply(),), operand_pair(arguments))
