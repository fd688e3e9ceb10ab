"""Tensors of requests: every list of bytes is either an exact view or refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec
from smidgen_service.handlers.tensors import RawTensor, check_finite, check_tensors, raw_tensor

SPEC = TensorSpec("x", "float32", (None, 2, 3))


@settings(max_examples=50)
@given(st.integers(1, 9), st.sampled_from(["float32", "uint8", "int8", "int32", "int64"]))
def test_arrays_come_back(samples: int, dtype: str) -> None:
    spec = TensorSpec("x", dtype, (None, 2, 3))
    array = np.arange(samples * 6).reshape(samples, 2, 3).astype(dtype)
    found = check_tensors([raw_tensor("x", array)], [spec])
    np.testing.assert_array_equal(found["x"], array)
    assert found["x"].dtype == array.dtype


@settings(max_examples=100)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8), st.integers(0, 200))
def test_only_exact_lengths_pass(shape: list[int], length: int) -> None:
    tensor = RawTensor("x", "float32", tuple(shape), bytes(length))
    is_exact = (
        len(shape) == 3 and shape[1:] == [2, 3] and shape[0] >= 1 and math.prod(shape) * 4 == length
    )
    if is_exact:
        assert check_tensors([tensor], [SPEC])["x"].shape == tuple(shape)
    else:
        with pytest.raises(InvalidTensorError):
            check_tensors([tensor], [SPEC])


def test_two_inputs_need_names() -> None:
    specs = [SPEC, TensorSpec("y", "float32", (None, 1))]
    x = RawTensor("", "float32", (1, 2, 3), bytes(24))
    with pytest.raises(InvalidTensorError) as caught:
        check_tensors([x], specs)
    assert caught.value.reason == "INPUT_UNKNOWN"
    y = RawTensor("y", "float32", (1, 1), bytes(4))
    named = RawTensor("x", "float32", (1, 2, 3), bytes(24))
    assert list(check_tensors([y, named], specs)) == ["x", "y"]


def test_non_finite_value_is_located() -> None:
    array = np.zeros((2, 3), np.float32)
    array[1, 1] = np.inf
    with pytest.raises(InvalidTensorError) as caught:
        check_finite({"x": array})
    assert caught.value.metadata["index"] == "4"
    check_finite({"x": np.zeros(3, np.uint8)})
