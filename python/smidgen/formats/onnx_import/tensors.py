"""The tensors of an ONNX file as arrays, with every claim about their size checked first.

A tensor's elements are raw bytes, or single numbers that protobuf packs. Both are taken from where
they lie in the file: parsed by protobuf, a byte would become an object of forty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto

from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.onnx_import.wire import fields, unpack_varints
from smidgen.formats.refusal import refusal

_RAW_DATA = TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number

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

_SINGLE_ELEMENTS: Mapping[str, Callable[[TensorProto], Sequence[Any]]] = {
    "float_data": lambda tensor: tensor.float_data,
    "int32_data": lambda tensor: tensor.int32_data,
    "int64_data": lambda tensor: tensor.int64_data,
    "double_data": lambda tensor: tensor.double_data,
    "uint64_data": lambda tensor: tensor.uint64_data,
    "string_data": lambda tensor: tensor.string_data,
}
_PACKED: Mapping[int, str] = {
    TensorProto.DESCRIPTOR.fields_by_name[name].number: name
    for name in _SINGLE_ELEMENTS
    if name != "string_data"
}


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor of the file whose elements were left where they are.

    Attributes:
        header: Everything else about it.
        raw: Its raw bytes; None where the file gives elements one by one.
        packed: Elements that are packed, by the name of their field.
    """

    header: TensorProto
    raw: memoryview | None
    packed: Mapping[str, memoryview] = field(default_factory=dict)


def tensor_record(data: memoryview) -> TensorRecord:
    """Parses a tensor without copying its elements.

    Raises:
        InvalidModelError: ONNX_MALFORMED or ONNX_BAD_TENSOR.
    """
    raw: memoryview | None = None
    packed: dict[str, memoryview] = {}
    rest: list[memoryview] = []
    for part in fields(data):
        name = _PACKED.get(part.number)
        if part.number == _RAW_DATA:
            raw = part.payload
        elif name is not None and part.payload is not None:
            if name in packed:
                raise refusal(OnnxReason.BAD_TENSOR, f"a tensor has its {name} in two pieces.")
            packed[name] = part.payload
        else:
            rest.append(data[part.start : part.end])
    header = TensorProto()
    try:
        header.ParseFromString(b"".join(rest))
    except DecodeError:
        raise refusal(
            OnnxReason.MALFORMED, "it is not an ONNX file: protobuf refuses a tensor of it."
        ) from None
    return TensorRecord(header, raw, packed)


def stated_bytes(record: TensorRecord) -> int:
    """Returns the bytes that the elements take in the graph, by the stated shape and type."""
    dtype = _DTYPES[record.header.data_type][0] if record.header.data_type in _DTYPES else None
    width = 0 if dtype is None else 8 if dtype.kind in "iu" else 1 if dtype.kind == "b" else 4
    return width * math.prod(max(extent, 0) for extent in record.header.dims)


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
    refuse_external(header, f"the tensor {label!r}")
    given = {item.name for item, _ in header.ListFields()}
    if "segment" in given:
        raise _bad(label, "is a segment of a tensor")
    if header.data_type not in _DTYPES:
        raise refusal(
            OnnxReason.UNSUPPORTED_TYPE,
            f"the tensor {label!r} has the element type {type_name(header.data_type)}.",
        )
    dtype, _ = _DTYPES[header.data_type]
    shape = _checked_shape(tuple(header.dims), label, limits)
    single = [key for key in _SINGLE_ELEMENTS if key in given]
    if record.raw is None:
        array = _from_elements(record, single, math.prod(shape), label)
    elif single or record.packed:
        raise _bad(label, "has both raw bytes and single elements")
    else:
        array = _from_raw(record.raw, dtype, math.prod(shape), label)
    array = array.reshape(shape)
    array.flags.writeable = False
    return array


def refuse_external(header: TensorProto, label: str) -> None:
    """Refuses a tensor that is in another file, or in memory.

    Raises:
        InvalidModelError: ONNX_EXTERNAL_DATA.
    """
    if header.data_location != TensorProto.DEFAULT or len(header.external_data):
        raise refusal(
            OnnxReason.EXTERNAL_DATA,
            f"{label} lies in another file. Save the model as a single file.",
        )


def _checked_shape(shape: tuple[int, ...], label: str, limits: Limits) -> tuple[int, ...]:
    if len(shape) > limits.rank:
        raise _bad(label, f"has {len(shape)} dimensions, expected at most {limits.rank}")
    if any(not 0 <= extent <= limits.extent for extent in shape):
        raise _bad(label, f"has the shape {list(shape)}")
    if math.prod(shape) > limits.elements:
        raise _bad(label, f"has {math.prod(shape)} elements, expected at most {limits.elements}")
    return shape


def _from_raw(raw: memoryview, dtype: np.dtype[Any], count: int, label: str) -> NDArray[Any]:
    if len(raw) != count * dtype.itemsize:
        raise _bad(label, f"has {len(raw)} bytes, expected {count * dtype.itemsize}")
    array = np.frombuffer(raw, dtype)
    if dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
        raise _bad(label, "has truth values other than 0 and 1")
    return array if array.flags.aligned else array.copy()


def _from_elements(
    record: TensorRecord, single: Sequence[str], count: int, label: str
) -> NDArray[Any]:
    dtype, name = _DTYPES[record.header.data_type]
    found = {*single, *record.packed}
    if found - {name}:
        raise _bad(label, f"has elements in {min(found - {name})}, expected {name}")
    if single and record.packed:
        raise _bad(label, "has its elements packed and one by one")
    if name in record.packed:
        numbers = _unpacked(record.packed[name], name, dtype, count, label)
    else:
        numbers = np.array(
            _SINGLE_ELEMENTS[name](record.header), np.int64 if name.startswith("int") else dtype
        )
    if len(numbers) != count:
        raise _bad(label, f"has {len(numbers)} elements, expected {count}")
    return _narrowed(numbers, dtype, label) if name == "int32_data" else numbers


def _unpacked(
    payload: memoryview, name: str, dtype: np.dtype[Any], count: int, label: str
) -> NDArray[Any]:
    if name in ("int32_data", "int64_data"):
        numbers = unpack_varints(payload, count)
        return numbers.astype(np.int32) if name == "int32_data" else numbers
    if len(payload) % dtype.itemsize:
        raise _bad(label, f"has {len(payload)} bytes of {dtype.name}")
    numbers = np.frombuffer(payload, dtype)
    return numbers if numbers.flags.aligned else numbers.copy()


def _narrowed(numbers: NDArray[Any], dtype: np.dtype[Any], label: str) -> NDArray[Any]:
    """Returns what int32_data holds: smaller integers, or the bits of floats of 16 bits."""
    if dtype.kind in "iub":
        array = numbers.astype(dtype)
        if not np.array_equal(array, numbers):
            raise _bad(label, f"has elements that are no {dtype.name}")
        return array
    if numbers.size and not 0 <= numbers.min() <= numbers.max() <= 0xFFFF:
        raise _bad(label, "has elements that are no 16 bits")
    return numbers.astype("<u2").view(dtype)


def _bad(label: str, found: str) -> Exception:
    return refusal(OnnxReason.BAD_TENSOR, f"the tensor {label!r} {found}.")


def type_name(number: int) -> str:
    """Returns the name of an element type, or its number where it has none."""
    names: Mapping[int, str] = {value: name for name, value in TensorProto.DataType.items()}
    return names.get(number, str(number))
