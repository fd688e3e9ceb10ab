"""Translates between numpy arrays and tensors on the wire. Knows neither channels nor services.

The table of element types is the one that client and server share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec
from smidgen.v1 import tensor_pb2 as pb

MAX_RANK = 8
"""Most dimensions that a tensor on the wire may have."""

ELEMENT_TYPES: Mapping[pb.DataType.ValueType, np.dtype[Any]] = MappingProxyType(
    {
        pb.DATA_TYPE_UINT8: np.dtype("uint8"),
        pb.DATA_TYPE_INT8: np.dtype("int8"),
        pb.DATA_TYPE_INT32: np.dtype("<i4"),
        pb.DATA_TYPE_INT64: np.dtype("<i8"),
        pb.DATA_TYPE_FLOAT32: np.dtype("<f4"),
        pb.DATA_TYPE_BOOL: np.dtype("?"),
    }
)
"""How numpy stores each element type of the wire."""

UNKNOWN_TYPE = "?"
"""Stands for an element type that is not in that table."""

_DATA_TYPES = {dtype: data_type for data_type, dtype in ELEMENT_TYPES.items()}
_TYPE_NAMES = ", ".join(dtype.name for dtype in ELEMENT_TYPES.values())


def encode_tensor(array: NDArray[Any], name: str = "") -> pb.Tensor:
    """Copies an array of any strides and byte order into a tensor.

    Raises: InvalidTensorError for an unknown type, an empty extent or more than MAX_RANK
    dimensions.

    >>> encode_tensor(np.float32([1.5]), "x").data.hex()
    '0000c03f'
    """
    dtype = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    if dtype not in _DATA_TYPES:
        raise InvalidTensorError(
            f"{_label(name)} has type {array.dtype.name}, expected one of {_TYPE_NAMES}; "
            "convert it with astype",
            reason="TENSOR_TYPE_UNSUPPORTED",
            tensor=name,
            found=array.dtype.name,
        )
    _check_shape(array.shape, name)
    return pb.Tensor(
        name=name,
        data_type=_DATA_TYPES[dtype],
        shape=array.shape,
        data=array.astype(dtype, copy=False).tobytes(),
    )


def decode_tensor(tensor: pb.Tensor) -> NDArray[Any]:
    """Returns a tensor's values as a read-only array over the message's bytes, without a copy.

    Raises: InvalidTensorError for an unknown type, a bad shape, or data of another length than the
    shape asks for.
    """
    dtype = ELEMENT_TYPES.get(tensor.data_type)
    if dtype is None:
        raise InvalidTensorError(
            f"{_label(tensor.name)} has the unknown data type {tensor.data_type}, "
            f"expected one of {_TYPE_NAMES}",
            reason="TENSOR_TYPE_UNSUPPORTED",
            tensor=tensor.name,
            found=tensor.data_type,
        )
    shape = tuple(tensor.shape)
    _check_shape(shape, tensor.name)
    expected = math.prod(shape) * dtype.itemsize
    if len(tensor.data) != expected:
        raise InvalidTensorError(
            f"{_label(tensor.name)} has {len(tensor.data)} bytes of data, expected {expected} "
            f"for {dtype.name} of shape {list(shape)}",
            reason="TENSOR_LENGTH_MISMATCH",
            tensor=tensor.name,
            found=len(tensor.data),
            expected=expected,
        )
    return np.frombuffer(tensor.data, dtype=dtype).reshape(shape)


def encode_tensors(arrays: NDArray[Any] | Mapping[str, NDArray[Any]]) -> list[pb.Tensor]:
    """Encodes arrays by name; a single array, for a model with one input, goes without a name."""
    if isinstance(arrays, Mapping):
        return [encode_tensor(np.asarray(array), name) for name, array in arrays.items()]
    return [encode_tensor(np.asarray(arrays))]


def decode_tensors(tensors: Iterable[pb.Tensor]) -> dict[str, NDArray[Any]]:
    """Decodes tensors into arrays by name, in the order given.

    Raises: InvalidTensorError as decode_tensor does, and for a name that comes twice.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for tensor in tensors:
        if tensor.name in arrays:
            raise InvalidTensorError(
                f"{_label(tensor.name)} comes twice, expected each name once",
                reason="TENSOR_DUPLICATE",
                tensor=tensor.name,
            )
        arrays[tensor.name] = decode_tensor(tensor)
    return arrays


def encode_spec(spec: TensorSpec) -> pb.TensorSpec:
    """Writes a spec as the wire has it: -1 for extents that may differ."""
    return pb.TensorSpec(
        name=spec.name,
        data_type=_DATA_TYPES[np.dtype(spec.dtype).newbyteorder("<")],
        shape=[-1 if extent is None else extent for extent in spec.shape],
    )


def decode_spec(spec: pb.TensorSpec) -> TensorSpec:
    """Reads a spec from the wire.

    Datasets may have values of types that no tensor on the wire has, float64 for one; a newer
    server may know more of them. Their dtype is UNKNOWN_TYPE.
    """
    dtype = ELEMENT_TYPES.get(spec.data_type)
    return TensorSpec(
        name=spec.name,
        dtype=UNKNOWN_TYPE if dtype is None else dtype.name,
        shape=tuple(None if extent < 0 else extent for extent in spec.shape),
    )


def _check_shape(shape: tuple[int, ...], name: str) -> None:
    if len(shape) > MAX_RANK or any(extent < 1 for extent in shape):
        raise InvalidTensorError(
            f"{_label(name)} has shape {list(shape)}, expected at most {MAX_RANK} extents, "
            "each at least 1",
            reason="TENSOR_SHAPE_INVALID",
            tensor=name,
            found=str(list(shape)),
        )


def _label(name: str) -> str:
    return f"Tensor {name!r}" if name else "The tensor"
