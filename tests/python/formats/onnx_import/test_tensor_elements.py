"""Every way of writing a tensor's elements gives the same array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from smidgen.errors import InvalidModelError
from smidgen.formats.limits import DEFAULT_LIMITS
from smidgen.formats.onnx_import import read_onnx
from smidgen.formats.onnx_import.tensors import decode_tensor, stated_bytes, tensor_record
from smidgen.formats.onnx_import.wire import unpack_varints
from tests.python.formats.corpus.onnx_models import good_model


def _decode(tensor: TensorProto, *, shift: int = 0) -> np.ndarray[Any, Any]:
    """Decodes a tensor from bytes that lie at another place of memory."""
    data = memoryview(b"\0" * shift + tensor.SerializeToString())[shift:]
    return decode_tensor(tensor_record(data), "t", DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("kind", "field", "elements", "expected"),
    [
        (TensorProto.FLOAT, "float_data", [1.5, -2.0], np.array([1.5, -2.0], np.float32)),
        (TensorProto.DOUBLE, "double_data", [1.5, -2.0], np.array([1.5, -2.0])),
        (TensorProto.INT64, "int64_data", [-(2**63), 2**63 - 1], np.array([-(2**63), 2**63 - 1])),
        (TensorProto.INT32, "int32_data", [-1, 2**31 - 1], np.array([-1, 2**31 - 1], np.int32)),
        (TensorProto.INT8, "int32_data", [-128, 127], np.array([-128, 127], np.int8)),
        (TensorProto.UINT16, "int32_data", [0, 65535], np.array([0, 65535], np.uint16)),
        (TensorProto.BOOL, "int32_data", [1, 0], np.array([True, False])),
        (TensorProto.FLOAT16, "int32_data", [0x3E00, 0xC000], np.array([1.5, -2.0], np.float16)),
        (TensorProto.BFLOAT16, "int32_data", [0x3FC0, 0xC000], np.array([1.5, -2.0])),
    ],
)
def test_single_elements_are_read(
    kind: int, field: str, elements: list[float], expected: np.ndarray[Any, Any]
) -> None:
    tensor = TensorProto(dims=[2], data_type=kind, **{field: elements})
    for shift in range(4):
        array = _decode(tensor, shift=shift)
        assert array.tolist() == expected.tolist()
        assert array.flags.aligned
        assert not array.flags.writeable
    assert kind == TensorProto.BFLOAT16 or array.dtype == expected.dtype


def test_elements_that_are_not_packed_are_read() -> None:
    packed = TensorProto(dims=[3], data_type=TensorProto.INT64).SerializeToString()
    single = b"\x38\x05" + b"\x38\x06" + b"\x38" + b"\xff" * 9 + b"\x01"
    array = decode_tensor(tensor_record(memoryview(packed + single)), "t", DEFAULT_LIMITS)
    assert array.tolist() == [5, 6, -1]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int8", "bool"])
def test_raw_bytes_are_read_wherever_they_lie(dtype: str) -> None:
    expected = np.array([[0, 1], [1, 0]], dtype)
    for shift in range(8):
        array = _decode(numpy_helper.from_array(expected), shift=shift)
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype


def test_an_empty_tensor_is_read() -> None:
    for dtype in (np.float32, np.int64, np.bool_):
        assert _decode(numpy_helper.from_array(np.zeros((0, 3), dtype))).shape == (0, 3)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_packed_integers_are_unpacked(numbers: list[int]) -> None:
    data = TensorProto(int64_data=numbers).SerializeToString()
    payload = memoryview(data)[2 + (len(data) > 129) :] if numbers else memoryview(b"")
    assert unpack_varints(payload, len(numbers)).tolist() == numbers


def test_packed_integers_are_unpacked_across_blocks() -> None:
    count = 400_000
    payload = memoryview(b"\x80\x80\x01" * count)  # three bytes do not divide a block
    assert (unpack_varints(payload, count) == 1 << 14).all()
    assert len(unpack_varints(payload, count)) == count
    assert len(unpack_varints(payload, 10)) == 11  # one more tells that there are others


@pytest.mark.parametrize("payload", [b"\x80", b"\x01\x80", b"\x80" * 10 + b"\x01", b"\x80" * 99])
def test_numbers_that_do_not_end_are_refused(payload: bytes) -> None:
    with pytest.raises(InvalidModelError) as refusal:
        unpack_varints(memoryview(payload), 5)
    assert refusal.value.reason == "ONNX_MALFORMED"


def test_stated_bytes_are_those_of_the_graph() -> None:
    for kind, width in (
        (TensorProto.INT8, 8), (TensorProto.BOOL, 1), (TensorProto.FLOAT16, 4),
        (TensorProto.DOUBLE, 4), (TensorProto.STRING, 0),
    ):  # fmt: skip
        record = tensor_record(
            memoryview(TensorProto(dims=[2, 3], data_type=kind).SerializeToString())
        )
        assert stated_bytes(record) == 6 * width


def test_a_tensor_of_doubles_beyond_float32_warns_of_nothing_where_it_is_not_used(
    tmp_path: Path,
) -> None:
    model = good_model()
    model.graph.initializer.append(numpy_helper.from_array(np.array([1e300]), "unused"))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert set(read_onnx(tmp_path / "m.onnx").weights) == {"w", "b"}
