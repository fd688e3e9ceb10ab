"""Tensors of a request: checked against the model's inputs before anything computes with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.engine import first_not_finite
from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec

MOST_RANK = 8
MOST_TENSORS = 1024  # of one message
_DTYPES: Mapping[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "uint8": np.dtype("u1"),
    "int8": np.dtype("i1"),
    "int32": np.dtype("<i4"),
    "int64": np.dtype("<i8"),
    "bool": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}  # numpy's own names take longer


@dataclass(frozen=True, slots=True)
class RawTensor:
    """A tensor as it crossed the wire: little-endian row-major bytes.

    Attributes:
        name: May be empty where the model has one input.
        dtype: By its numpy name.
        shape: Extents, outermost first.
        data: The values; in a request perhaps a view of the bytes of the message.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview

    def with_values(self, data: bytes | memoryview) -> RawTensor:
        """Returns the same tensor with other values."""
        return RawTensor(self.name, self.dtype, self.shape, data)


def check_tensors(
    tensors: Sequence[RawTensor], specs: Sequence[TensorSpec]
) -> dict[str, NDArray[np.generic]]:
    """Returns the arrays by input name, in the order of specs.

    They are views of the bytes where these are aligned. Values are not looked at; check_finite does
    that.

    Raises:
        InvalidTensorError: a name, type, shape or length does not fit.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    by_name = {spec.name: spec for spec in specs}
    for tensor in tensors:
        spec = specs[0] if not tensor.name and len(specs) == 1 else by_name.get(tensor.name)
        if spec is None:
            raise InvalidTensorError(
                f"the model has no input {tensor.name[:80]!r}; its inputs are {_list(specs)}",
                reason="INPUT_UNKNOWN",
                field="inputs",
                tensor=tensor.name[:80],
            )
        if spec.name in arrays:
            raise InvalidTensorError(
                f"input {spec.name!r} is given twice; give each input once",
                reason="TENSOR_DUPLICATE",
                field="inputs",
                tensor=spec.name,
            )
        arrays[spec.name] = _view(tensor, spec)
    missing = [spec for spec in specs if spec.name not in arrays]
    if missing:
        raise InvalidTensorError(
            f"input {_list(missing)} is missing; give one tensor for each input",
            reason="INPUT_MISSING",
            field="inputs",
            tensor=missing[0].name,
            given=", ".join(arrays),
            missing=", ".join(spec.name for spec in missing),
        )
    return {spec.name: arrays[spec.name] for spec in specs}


def check_finite(arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Refuses NaN and infinities.

    Raises:
        InvalidTensorError: a value is not finite.
    """
    for name, array in arrays.items():
        index = first_not_finite(array) if array.dtype.kind == "f" else None
        if index is not None:
            raise not_finite(arrays, name, index)


def not_finite(
    arrays: Mapping[str, NDArray[np.generic]], name: str, index: int
) -> InvalidTensorError:
    """Returns the error for a NaN or an infinity of an input, at a flat index."""
    return InvalidTensorError(
        f"input {name!r} has {arrays[name].reshape(-1)[index]} at flat index {index}; "
        "all values must be finite",
        reason="TENSOR_NOT_FINITE",
        field="inputs",
        tensor=name,
        index=index,
    )


def item_bytes(dtype: str) -> int:
    """Returns the bytes of one value of a type, given by its numpy name."""
    return _DTYPES[dtype].itemsize


def raw_tensor(name: str, array: NDArray[np.generic]) -> RawTensor:
    """Returns an array as it crosses the wire."""
    name_of_type = _NAMES.get(array.dtype)
    if name_of_type is None:  # another byte order
        array = array.astype(array.dtype.newbyteorder("<"))
        name_of_type = array.dtype.name
    return RawTensor(name, name_of_type, array.shape, array.tobytes())


def _view(tensor: RawTensor, spec: TensorSpec) -> NDArray[np.generic]:
    if tensor.dtype != spec.dtype:
        raise InvalidTensorError(
            f"input {spec.name!r} has type {tensor.dtype or 'unspecified'}, expected {spec.dtype}",
            reason="TENSOR_DTYPE_MISMATCH",
            field="inputs",
            tensor=spec.name,
            found=tensor.dtype,
            expected=spec.dtype,
        )
    if not spec.accepts_shape(tensor.shape):
        raise _misfit(tensor, spec)
    dtype = _DTYPES[spec.dtype]
    expected_bytes = math.prod(tensor.shape) * dtype.itemsize
    if len(tensor.data) != expected_bytes:
        raise InvalidTensorError(
            f"input {spec.name!r} of shape {_shape(tensor)} and type {spec.dtype} has "
            f"{len(tensor.data)} bytes of data, expected {expected_bytes}",
            reason="TENSOR_LENGTH_MISMATCH",
            field="inputs",
            tensor=spec.name,
            found=len(tensor.data),
            expected=expected_bytes,
        )
    array: NDArray[np.generic] = np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
    if not array.flags.aligned:
        array = array.copy()
    if dtype.kind == "b" and bool((array.view(np.uint8) > 1).any()):
        raise InvalidTensorError(
            f"input {spec.name!r} has a byte that is neither 0 nor 1, expected truth values",
            reason="TENSOR_VALUE_INVALID",
            field="inputs",
            tensor=spec.name,
        )
    return array


def _misfit(tensor: RawTensor, spec: TensorSpec) -> InvalidTensorError:
    found, expected = _shape(tensor), spec.describe_shape()
    said = f"{found}, expected {expected}"
    if any(extent < 1 for extent in tensor.shape):
        said = f"{found} and so no samples; expected {expected} with extents of at least 1"
    return InvalidTensorError(
        f"input {spec.name!r} has shape {said}",
        reason="TENSOR_SHAPE_MISMATCH",
        field="inputs",
        tensor=spec.name,
        found=found,
        expected=expected,
    )


def _shape(tensor: RawTensor) -> str:
    return "[" + ", ".join(map(str, tensor.shape[: MOST_RANK + 1])) + "]"


def _list(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name!r} {spec.dtype} {spec.describe_shape()}" for spec in specs)
