"""Constants in integers: quantized, dequantized and moved while the file is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.onnx_import.call import Call, Input
from smidgen.formats.onnx_import.quantized.operands import Integers, QuantizedConstant, Rows
from smidgen.formats.onnx_import.quantized.parameters import Parameters, unsupported
from smidgen.formats.onnx_import.quantized.values import maker_of
from smidgen.graph import operations as ops
from smidgen.graph.arguments import Activation, Constant, UnsupportedCase, Weight
from smidgen.graph.axis_numbers import axis_of
from smidgen.qparams import QParams

INTEGER_TYPES = ("int8", "uint8", "int32")
"""What DequantizeLinear reads here."""


def quantized_constant(call: Call, value: Weight | Constant, parameters: Parameters) -> Integers:
    """Quantizes a float constant as QuantizeLinear does."""
    array = value.array.T if isinstance(value, Weight) and value.is_transposed else value.array
    if array.dtype != np.float32:
        raise UnsupportedCase("its use on other than floats")
    scales, zero_points = _spread(call, array, parameters, call.integer("axis", 1))
    if not np.isfinite(array).all():
        raise unsupported(call, "quantizes a constant with NaN or infinite elements")
    if parameters.dtype == "int32":
        raise unsupported(call, "quantizes a constant to int32, expected uint8 or int8")
    limits = np.iinfo(parameters.dtype)
    with np.errstate(over="ignore"):  # infinities are clipped
        shifted = np.rint(array / scales) + zero_points.astype(np.float32)
    return Integers(np.clip(shifted, limits.min, limits.max).astype(parameters.dtype))


def dequantized(
    call: Call, array: NDArray[Any], parameters: Parameters, *, axis: int | None = None
) -> QuantizedConstant:
    """Returns a constant with what DequantizeLinear says about it.

    Args:
        call: The call.
        array: The integers.
        parameters: Scales and zero points.
        axis: The axis of the scales; None for that which the call states.

    Raises:
        InvalidModelError: They do not go together.
    """
    if array.dtype.name not in INTEGER_TYPES or array.dtype.name != parameters.dtype:
        found = f"reads {array.dtype.name} with parameters of {parameters.dtype}"
        raise unsupported(call, f"{found}, expected int8, uint8 or int32")
    along = call.integer("axis", 1) if axis is None else axis
    return QuantizedConstant(array, *_spread(call, array, parameters, along))


def _spread(
    call: Call, array: NDArray[Any], parameters: Parameters, axis: int
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    if parameters.is_per_tensor:
        return parameters.along(0, array.ndim)
    along = axis_of(axis, array.ndim)
    if array.shape[along] != parameters.scales.size:
        found = f"has {parameters.scales.size} scales for an axis of {array.shape[along]}"
        raise unsupported(call, found)
    return parameters.along(along, array.ndim)


def bias_of(
    call: Call, array: NDArray[Any], source: QParams, weight: QuantizedConstant
) -> QuantizedConstant:
    """Returns the bias of QLinearConv, whose scale is that of the products."""
    if array.dtype != np.int32 or array.ndim != 1:
        raise unsupported(call, f"has a bias of {array.dtype.name}, expected int32")
    scales = np.float32(source.scale) * np.broadcast_to(
        weight.scales.reshape(-1), array.shape if weight.is_per_tensor else weight.scales.size
    )
    if scales.shape != array.shape:
        raise unsupported(call, f"has {array.size} biases and {scales.size} scales")
    return QuantizedConstant(array, scales, np.zeros(scales.shape, np.int64))


def scales_of_rows(call: Call, rows: Rows, other: Input | None) -> NDArray[np.float32] | None:
    """Returns the scales [V, 1] where the same indices select them."""
    if not isinstance(other, Activation):
        return None
    node = maker_of(call, other)
    if node is None or not isinstance(node.operation, ops.Embedding):
        return None
    scales = call.assembly.weight_array(node.operation.weight)
    is_same = node.inputs[0] == rows.indices.number
    if not is_same or scales.shape != (len(rows.table), 1) or scales.dtype != np.float32:
        return None
    return scales.astype(np.float32)


def moved_elements(call: Call, array: NDArray[Any]) -> NDArray[Any] | None:
    """Moves the elements of a constant; None for an operator that is not known here."""
    match call.node.op_type:
        case "Identity":
            return array
        case "Transpose":
            order = call.integers("perm") or tuple(reversed(range(array.ndim)))
            if sorted(order) != list(range(array.ndim)):
                return None
            return array.transpose(order)
        case "Reshape":
            wanted = [
                array.shape[axis] if size == 0 and axis < array.ndim else size
                for axis, size in enumerate(call.integers_in(1))
            ]
            try:
                return array.reshape(wanted)
            except ValueError:
                return None
        case _:
            return None
