from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from smidgen.client.tensors import (
    ELEMENT_TYPES,
    UNKNOWN_TYPE,
    decode_spec,
    decode_tensor,
    decode_tensors,
    encode_spec,
    encode_tensor,
    encode_tensors,
)
from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec
from smidgen.v1 import tensor_pb2 as pb

shapes = npst.array_shapes(min_dims=0, max_dims=8, min_side=1, max_side=3)
arrays = st.sampled_from(list(ELEMENT_TYPES.values())).flatmap(
    lambda dtype: npst.arrays(dtype, shapes)
)


@given(arrays, st.text(max_size=5))
def test_an_array_survives_the_wire_bit_for_bit(array: np.ndarray, name: str) -> None:
    tensor = pb.Tensor.FromString(encode_tensor(array, name).SerializeToString())
    found = decode_tensor(tensor)
    assert tensor.name == name
    assert found.shape == array.shape
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


@given(arrays)
def test_strides_and_byte_order_do_not_matter(array: np.ndarray) -> None:
    other = np.asarray(array.astype(array.dtype.newbyteorder(">")), order="F")
    assert encode_tensor(other) == encode_tensor(array)


def test_bytes_are_little_endian_and_row_major() -> None:
    tensor = encode_tensor(np.array([[1, 2], [3, 256]], np.int32).T, "x")
    assert tensor == pb.Tensor(
        name="x",
        data_type=pb.DATA_TYPE_INT32,
        shape=[2, 2],
        data=bytes.fromhex("01000000 03000000 02000000 00010000"),
    )


def test_decoded_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        decode_tensor(encode_tensor(np.zeros(2, np.float32)))[0] = 1


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(2), "TENSOR_TYPE_UNSUPPORTED"),
        (np.array(["a"]), "TENSOR_TYPE_UNSUPPORTED"),
        (np.array([None]), "TENSOR_TYPE_UNSUPPORTED"),
        (np.zeros((2, 0), np.float32), "TENSOR_SHAPE_INVALID"),
        (np.zeros((1,) * 9, np.float32), "TENSOR_SHAPE_INVALID"),
    ],
)
def test_what_the_wire_cannot_hold_is_refused(array: np.ndarray, reason: str) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        encode_tensor(array, "x")
    assert caught.value.reason == reason
    assert "'x'" in caught.value.message


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (pb.Tensor(shape=[1], data=b"1234"), "TENSOR_TYPE_UNSUPPORTED"),
        (pb.Tensor(data_type=99, shape=[1], data=b"1234"), "TENSOR_TYPE_UNSUPPORTED"),
        (pb.Tensor(data_type=5, shape=[2], data=b"1234"), "TENSOR_LENGTH_MISMATCH"),
        (pb.Tensor(data_type=5, shape=[1], data=b"12345"), "TENSOR_LENGTH_MISMATCH"),
        (pb.Tensor(data_type=5, shape=[2**62, 2**62], data=b""), "TENSOR_LENGTH_MISMATCH"),
        (pb.Tensor(data_type=5, shape=[0], data=b""), "TENSOR_SHAPE_INVALID"),
        (pb.Tensor(data_type=5, shape=[-1], data=b""), "TENSOR_SHAPE_INVALID"),
        (pb.Tensor(data_type=1, shape=[1] * 9, data=b"1"), "TENSOR_SHAPE_INVALID"),
    ],
)
def test_malformed_tensors_are_refused(tensor: pb.Tensor, reason: str) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        decode_tensor(tensor)
    assert caught.value.reason == reason


def test_names_are_kept_in_order_and_must_differ() -> None:
    tensors = encode_tensors({"b": np.zeros(1, np.int8), "a": np.ones(1, np.int8)})
    assert [tensor.name for tensor in tensors] == ["b", "a"]
    assert list(decode_tensors(tensors)) == ["b", "a"]
    assert [tensor.name for tensor in encode_tensors(np.zeros(1, np.int8))] == [""]
    with pytest.raises(InvalidTensorError) as caught:
        decode_tensors([tensors[0], tensors[0]])
    assert caught.value.reason == "TENSOR_DUPLICATE"


@pytest.mark.parametrize("dtype", [dtype.name for dtype in ELEMENT_TYPES.values()])
def test_specs_survive_the_wire(dtype: str) -> None:
    spec = TensorSpec("x", dtype, (None, 3))
    assert list(encode_spec(spec).shape) == [-1, 3]
    assert decode_spec(encode_spec(spec)) == spec


@pytest.mark.parametrize("data_type", [pb.DATA_TYPE_UNSPECIFIED, 99])
def test_a_spec_of_an_unknown_type_can_be_read(data_type: Any) -> None:
    message = pb.TensorSpec(name="inputs", data_type=data_type, shape=[-1, 3])
    assert decode_spec(message) == TensorSpec("inputs", UNKNOWN_TYPE, (None, 3))
