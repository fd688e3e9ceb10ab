"""The tensors of an ONNX file as arrays, with every claim about their size checked first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import.reasons import OnnxReason, refusal

_DTYPES: Mapping[int, tuple[np.dtype[Any], str]] = {
    TensorProto.FLOAT: (np.dtype("<f4"), "float_data"),
    TensorProto.DOUBLE: (np.dtype("<f8"), "double_data"),
    TensorProto.FLOAT16: (np.dtype("<f2"), "int32_data"),
    TensorProto.BFLOAT16: (np.dtype(ml_dtypes.bfloat16), "int32_data"),
    TensorProto.INT64: (np.dtype("<i8"), "int64_data"),
    TensorProto.INT32: (np.dtype("<i4"), "int32_data"),
    TensorProto.INT16: (np.dtype("<i2"), "int32_data"),
    TensorProto.UINT16: (np.dtype("<u2"), "int32_data"),
    TensorProto.INT8: (np.dtype("i1"), "int32_data"),
    TensorProto.UINT8: (np.dtype("u1"), "int32_data"),
    TensorProto.BOOL: (np.dtype("bool"), "int32_data"),
}
"""Element types with the field of theirs that holds elements one by one."""

_TYPED_FIELDS = (
    "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor of the file whose bytes were left where they are.

    Attributes:
        header: Everything about it but raw bytes.
        raw: Its raw bytes; None where the file gives elements one by one.
    """

    header: TensorProto
    raw: memoryview | None


def decode_tensor(record: TensorRecord, label: str, limits: Limits) -> NDArray[Any]:
    """Returns a tensor's elements, read-only; a view of the file where its bytes are aligned.

    Args:
        record: The tensor.
        label: Its name for people.
        limits: Caps.

    Raises:
        InvalidModelError: With an ONNX_ reason.
    """
    header = record.header
    _check_where(header, label)
    if header.data_type not in _DTYPES:
        raise refusal(
            OnnxReason.UNSUPPORTED_TYPE,
            f"the tensor {label!r} has the element type {type_name(header.data_type)}.",
        )
    dtype, field = _DTYPES[header.data_type]
    shape = _checked_shape(tuple(header.dims), label, limits)
    count = math.prod(shape)
    typed = [name for name in _TYPED_FIELDS if len(getattr(header, name))]
    if record.raw is None:
        if any(name != field for name in typed):
            raise _bad(label, f"has elements in {typed[0]}, expected {field}")
        return _from_typed(header, dtype, field, shape, label)
    if typed:
        raise _bad(label, "has both raw bytes and single elements")
    if len(record.raw) != count * dtype.itemsize:
        raise _bad(label, f"has {len(record.raw)} bytes, expected {count * dtype.itemsize}")
    array = np.frombuffer(record.raw, dtype).reshape(shape)
    if dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
        raise _bad(label, "has truth values other than 0 and 1")
    if not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array


def _check_where(header: TensorProto, label: str) -> None:
    if header.data_location != TensorProto.DEFAULT or len(header.external_data):
        raise refusal(
            OnnxReason.EXTERNAL_DATA,
            f"the tensor {label!r} lies in another file. Save the model as a single file.",
        )
    if header.HasField("segment"):
        raise _bad(label, "is a segment of a tensor")


def _checked_shape(shape: tuple[int, ...], label: str, limits: Limits) -> tuple[int, ...]:
    if len(shape) > limits.rank:
        raise _bad(label, f"has {len(shape)} dimensions, expected at most {limits.rank}")
    if any(not 0 <= extent <= limits.extent for extent in shape):
        raise _bad(label, f"has the shape {list(shape)}")
    if math.prod(shape) > limits.elements:
        raise _bad(label, f"has {math.prod(shape)} elements, expected at most {limits.elements}")
    return shape


def _from_typed(
    header: TensorProto, dtype: np.dtype[Any], field: str, shape: tuple[int, ...], label: str
) -> NDArray[Any]:
    numbers, count = getattr(header, field), math.prod(shape)
    if len(numbers) != count:
        raise _bad(label, f"has {len(numbers)} elements, expected {count}")
    if field == "int32_data" and dtype.kind not in "iub":
        bits = np.array(numbers, np.int64)
        if bits.size and not 0 <= bits.min() <= bits.max() <= 0xFFFF:
            raise _bad(label, "has elements that are no 16 bits")
        array = bits.astype("<u2").view(dtype).reshape(shape)
    else:
        plain = np.array(numbers, np.int64 if dtype.kind in "iub" else dtype)
        array = plain.astype(dtype).reshape(shape)
        if dtype.kind in "iub" and not np.array_equal(array.astype(np.int64).ravel(), plain):
            raise _bad(label, f"has elements that are no {dtype.name}")
    array.flags.writeable = False
    return array


def _bad(label: str, found: str) -> Exception:
    return refusal(OnnxReason.BAD_TENSOR, f"the tensor {label!r} {found}.")


def type_name(number: int) -> str:
    """Returns the name of an element type, or its number where it has none."""
    names: Mapping[int, str] = {value: name for name, value in TensorProto.DataType.items()}
    return names.get(number, str(number))
