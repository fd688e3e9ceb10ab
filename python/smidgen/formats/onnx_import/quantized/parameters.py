"""The scales and zero points of QuantizeLinear and DequantizeLinear, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from smidgen.errors import InvalidModelError
from smidgen.formats.onnx_import.call import Call, Extents, label_of
from smidgen.formats.onnx_import.quantized.operands import INT8_OFFSET
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.refusal import refusal
from smidgen.graph.arguments import Constant, Weight
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE, QParams

_TYPES: Mapping[int, str] = {number: name for name, number in TensorProto.DataType.items()}


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one call.

    Attributes:
        scales: float32 of one element, or one for each index of an axis.
        zero_points: As many integers.
        dtype: The element type of the quantized values.
    """

    scales: NDArray[np.float32]
    zero_points: NDArray[Any]
    dtype: str

    @property
    def is_per_tensor(self) -> bool:
        """Whether there is one scale for all."""
        return self.scales.size == 1

    def along(self, axis: int, rank: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Returns both with as many axes as a tensor of this rank."""
        shape = [1] * rank
        if not self.is_per_tensor:
            shape[axis] = self.scales.size
        return self.scales.reshape(shape), self.zero_points.reshape(shape)


def unsupported(call: Call, found: str) -> InvalidModelError:
    """Makes the error for a quantization that the engine does not have."""
    label = label_of(call.node)
    shown = f"{call.node.op_type[:80]} at {label!r}"
    return refusal(OnnxReason.UNSUPPORTED_QUANTIZATION, f"{shown} {found}.", node=label)


def parameters_of(call: Call, default: str, indices: Sequence[int] = (1, 2)) -> Parameters:
    """Returns the scale and zero point that a call has as operands.

    Args:
        call: The call.
        default: The element type where neither a zero point nor an attribute states one.
        indices: Places of scale and zero point among the operands.

    Raises:
        InvalidModelError: They are nothing that the engine can compute with.
    """
    if call.node.op_type.endswith("Linear") and call.integer("block_size", 0):
        raise unsupported(call, "quantizes in blocks, expected one scale a tensor or channel")
    scales = _constant(call, indices[0], "scale")
    if scales is None:
        raise unsupported(call, "has no scale")
    if scales.ndim > 1:
        raise unsupported(call, f"has scales of {scales.ndim} axes, as of blocks; expected one")
    if scales.dtype.kind != "f":
        raise unsupported(call, f"has scales of type {scales.dtype.name}, expected float32")
    zero_points = _constant(call, indices[1], "zero point")
    dtype = _dtype(call, default) if zero_points is None else zero_points.dtype.name
    if dtype not in ("uint8", "int8", "int32"):
        raise unsupported(call, f"quantizes to {dtype}, expected uint8 or int8")
    scales = _checked(call, scales.astype(np.float32).reshape(-1), dtype)
    if zero_points is None:
        zero_points = np.zeros(scales.size, np.int64)
    if zero_points.size != scales.size:
        found = f"has {scales.size} scales and {zero_points.size} zero points"
        raise unsupported(call, found)
    return Parameters(scales, zero_points.astype(np.int64).reshape(-1), dtype)


def qparams_of(call: Call, parameters: Parameters) -> tuple[QParams, int]:
    """Returns the parameters of a computed value as of uint8, and what the bytes grow by.

    Raises:
        InvalidModelError: They are no parameters of activations.
    """
    if not parameters.is_per_tensor:
        count = parameters.scales.size
        raise unsupported(call, f"quantizes a computed value by {count} scales, expected one")
    if parameters.dtype == "int32":
        raise unsupported(call, "quantizes a computed value to int32, expected uint8 or int8")
    offset = INT8_OFFSET if parameters.dtype == "int8" else 0
    zero_point = int(parameters.zero_points[0]) + offset
    return QParams(float(parameters.scales[0]), zero_point), offset


def _checked(call: Call, scales: NDArray[np.float32], dtype: str) -> NDArray[np.float32]:
    """Checks scales; those of int32 are products of two others."""
    least, most = SMALLEST_SCALE, LARGEST_SCALE
    shown = "2**-60 to 2**60"
    if dtype == "int32":
        least, most, shown = least * least, most * most, "2**-120 to 2**120"
    is_good = np.isfinite(scales) & (scales >= least) & (scales <= most)
    if not scales.size or not is_good.all():
        found = ", ".join(map(str, scales[~is_good][:4])) or "none"
        raise unsupported(call, f"has the scale {found}, expected {shown}")
    return scales


def _constant(call: Call, index: int, role: str) -> NDArray[Any] | None:
    value = call.inputs[index] if index < len(call.inputs) else None
    if value is None:
        return None
    if isinstance(value, Extents) or not isinstance(value, Weight | Constant):
        raise unsupported(call, f"has a {role} that is computed, expected a constant")
    return value.array


def _dtype(call: Call, default: str) -> str:
    stated = call.integer("output_dtype", 0) if call.node.op_type == "QuantizeLinear" else 0
    if not stated:
        return default
    return _TYPES.get(stated, str(stated)).lower()
