"""Tensors and their specs."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec
from smidgen.v1 import tensor_pb2
from smidgen_service.handlers.tensors import MOST_RANK, MOST_TENSORS, RawTensor

_DTYPES = {
    tensor_pb2.DATA_TYPE_UINT8: "uint8",
    tensor_pb2.DATA_TYPE_INT8: "int8",
    tensor_pb2.DATA_TYPE_INT32: "int32",
    tensor_pb2.DATA_TYPE_INT64: "int64",
    tensor_pb2.DATA_TYPE_FLOAT32: "float32",
    tensor_pb2.DATA_TYPE_BOOL: "bool",
}
_DATA_TYPES = {dtype: data_type for data_type, dtype in _DTYPES.items()}


def tensors_from_message(messages: Sequence[tensor_pb2.Tensor]) -> tuple[RawTensor, ...]:
    """Returns tensors as they were sent.

    Raises:
        InvalidTensorError: there are too many tensors, or one has no known type, or too many
            extents.
    """
    # A message of 64 MiB has room for millions of them, and this runs on the event loop.
    check_count(messages, field="inputs")
    return tuple([_tensor(message) for message in messages])


def check_count(entries: Sequence[object], *, field: str) -> None:
    """Refuses more tensors, or names of tensors, than any model has.

    Raises:
        InvalidTensorError: there are too many.
    """
    if len(entries) > MOST_TENSORS:
        raise InvalidTensorError(
            f"{field} has {len(entries)} entries, expected at most {MOST_TENSORS}",
            reason="TOO_MANY_TENSORS",
            field=field,
            found=len(entries),
        )


def tensor_head(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    """Returns an encoded tensor up to its data."""
    return tensor_pb2.Tensor(
        name=name, data_type=_DATA_TYPES[dtype], shape=shape
    ).SerializeToString()


def spec_to_message(spec: TensorSpec) -> tensor_pb2.TensorSpec:
    """Returns a spec as a message; a type that never crosses the wire stays unspecified."""
    return tensor_pb2.TensorSpec(
        name=spec.name,
        data_type=_DATA_TYPES.get(spec.dtype, tensor_pb2.DATA_TYPE_UNSPECIFIED),
        shape=[-1 if extent is None else extent for extent in spec.shape],
    )


def spec_from_message(message: tensor_pb2.TensorSpec) -> TensorSpec:
    """Returns a spec."""
    shape = tuple(None if extent < 0 else extent for extent in message.shape)
    return TensorSpec(message.name, _DTYPES[message.data_type], shape)


def _tensor(message: tensor_pb2.Tensor) -> RawTensor:
    dtype = _DTYPES.get(message.data_type)
    if dtype is None:
        raise InvalidTensorError(
            f"tensor {message.name[:80]!r} has data_type {message.data_type}, "
            f"expected one of {', '.join(_DATA_TYPES)}",
            reason="TENSOR_DTYPE_MISMATCH",
            field="data_type",
            tensor=message.name[:80],
            found=int(message.data_type),
        )
    if len(message.shape) > MOST_RANK:
        raise InvalidTensorError(
            f"tensor {message.name[:80]!r} has {len(message.shape)} extents, "
            f"expected at most {MOST_RANK}",
            reason="TENSOR_SHAPE_MISMATCH",
            field="shape",
            tensor=message.name[:80],
        )
    return RawTensor(message.name, dtype, tuple(message.shape), message.data)
