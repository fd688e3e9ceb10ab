"""The values of an input: raw bytes, or one by one in the field of its type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import InvalidTensorError
from smidgen_service.converters.open_inference.datatypes import BY_NAME, Datatype
from smidgen_service.handlers.tensors import MOST_RANK, MOST_TENSORS
from smidgen_service.open_inference import inference_service_pb2 as pb

Input = pb.ModelInferRequest.InferInputTensor
_LENGTH_BYTES = 4


def datatype_of(message: Input) -> Datatype:
    """Returns the type of an input.

    Raises:
        InvalidTensorError: the protocol has no such type.
    """
    datatype = BY_NAME.get(message.datatype)
    if datatype is None:
        raise InvalidTensorError(
            f"input {message.name[:80]!r} has datatype {message.datatype[:80]!r}, "
            f"expected one of {', '.join(BY_NAME)}",
            reason="TENSOR_DTYPE_UNKNOWN",
            field="datatype",
            tensor=message.name[:80],
            found=message.datatype[:80],
        )
    return datatype


def shape_of(message: Input) -> tuple[int, ...]:
    """Returns the extents of an input.

    Raises:
        InvalidTensorError: there are more than any tensor has.
    """
    if len(message.shape) > MOST_RANK:
        raise InvalidTensorError(
            f"input {message.name[:80]!r} has {len(message.shape)} extents, expected at most "
            f"{MOST_RANK}",
            reason="TOO_MANY_EXTENTS",
            field="shape",
            tensor=message.name[:80],
        )
    return tuple(message.shape)


def explicit_contents(message: Input, datatype: Datatype) -> bytes:
    """Returns the values that stand in `contents` as raw bytes.

    Raises:
        InvalidTensorError: they stand in the field of another type, or one is outside the type.
    """
    values = _values(message, datatype)
    if datatype.contents in ("int_contents", "uint_contents"):
        _check_range(message, datatype, values)
    return values.astype(np.dtype(datatype.dtype).newbyteorder("<")).tobytes()


def explicit_elements(message: Input, datatype: Datatype) -> tuple[bytes, ...]:
    """Returns the elements of a BYTES input that stand in `contents`.

    Raises:
        InvalidTensorError: they stand in the field of another type, or are too many or too few.
    """
    _check_fields(message, datatype)
    _check_count(message)
    elements = message.contents.bytes_contents
    if len(elements) != math.prod(message.shape):
        raise _wrong_count(message, f"{len(elements)} elements")
    return tuple(elements)


def raw_elements(message: Input, content: memoryview) -> tuple[memoryview, ...]:
    """Returns the elements of a BYTES input from its raw contents.

    Raises:
        InvalidTensorError: the bytes are not exactly as many elements as the shape says.
    """
    count = _check_count(message)
    elements = []
    position = 0
    for _ in range(count):
        start = position + _LENGTH_BYTES
        size = int.from_bytes(content[position:start], "little")
        position = start + size
        if position > len(content):
            raise _wrong_count(message, f"{len(content)} bytes, which end within an element")
        elements.append(content[start:position])
    if position != len(content):
        raise _wrong_count(message, f"{len(content) - position} bytes after the last element")
    return tuple(elements)


def _values(message: Input, datatype: Datatype) -> NDArray[Any]:
    _check_fields(message, datatype)
    values: Sequence[Any] = getattr(message.contents, datatype.contents)
    wide = {"int_contents": "int32", "uint_contents": "uint32"}
    dtype = wide.get(datatype.contents, datatype.dtype)
    return np.fromiter(values, np.dtype(dtype), len(values))


def _check_fields(message: Input, datatype: Datatype) -> None:
    if not datatype.contents:
        raise _other_type(message, datatype, "contents", "raw_input_contents alone")
    for field, _ in message.contents.ListFields():
        if field.name != datatype.contents:
            raise _other_type(message, datatype, field.name, datatype.contents)


def _other_type(
    message: Input, datatype: Datatype, found: str, expected: str
) -> InvalidTensorError:
    return InvalidTensorError(
        f"input {message.name[:80]!r} of type {datatype.name} has values in {found}, "
        f"expected {expected}",
        reason="CONTENTS_OF_OTHER_TYPE",
        field="contents",
        tensor=message.name[:80],
        found=found,
        expected=datatype.name,
    )


def _check_range(message: Input, datatype: Datatype, values: NDArray[Any]) -> None:
    limits = np.iinfo(datatype.dtype)
    outside = np.flatnonzero((values < limits.min) | (values > limits.max))
    if outside.size:
        index = int(outside[0])
        raise InvalidTensorError(
            f"input {message.name[:80]!r} of type {datatype.name} has {values[index]} at flat "
            f"index {index}, expected {limits.min} to {limits.max}",
            reason="TENSOR_VALUE_INVALID",
            field="contents",
            tensor=message.name[:80],
            index=index,
        )


def _check_count(message: Input) -> int:
    """Returns the number of elements that the shape of a BYTES input says."""
    shape = message.shape
    is_list = 1 <= len(shape) <= 2 and all(extent == 1 for extent in shape[1:])
    if not is_list or not 1 <= shape[0] <= MOST_TENSORS:
        raise InvalidTensorError(
            f"input {message.name[:80]!r} of type BYTES has shape {list(shape[: MOST_RANK + 1])}, "
            f"expected [N] or [N, 1] with 1 to {MOST_TENSORS} encoded images",
            reason="IMAGES_SHAPE_MISMATCH",
            field="shape",
            tensor=message.name[:80],
        )
    return int(shape[0])


def _wrong_count(message: Input, found: str) -> InvalidTensorError:
    return InvalidTensorError(
        f"input {message.name[:80]!r} of type BYTES and shape {list(message.shape)} has {found}, "
        f"expected exactly {math.prod(message.shape)} elements, each after its length in "
        f"{_LENGTH_BYTES} bytes where they are raw",
        reason="BYTES_MALFORMED",
        field="inputs",
        tensor=message.name[:80],
    )
