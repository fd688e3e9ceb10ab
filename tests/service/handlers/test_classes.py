"""The greatest values of an output, against a sort that is written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from smidgen_service.handlers.classes import greatest_values, least_bytes
from smidgen_service.handlers.tensors import RawTensor


def texts(tensor: RawTensor) -> list[str]:
    found, data = [], bytes(tensor.data)
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        found.append(data[4:end].decode())
        data = data[end:]
    return found


@settings(max_examples=100)
@given(
    arrays.arrays(
        np.int64,
        arrays.array_shapes(min_dims=2, max_dims=3, max_side=5),
        elements=st.integers(-3, 3),
    ),
    st.integers(1, 30),
)
def test_greatest_come_first_and_of_equal_ones_the_first(array: np.ndarray, count: int) -> None:
    expected = []
    for row in array.reshape(array.shape[0], -1):
        order = sorted(range(row.size), key=lambda index: (-row[index], index))
        expected += [f"{row[index]}:{index}" for index in order[:count]]
    found = greatest_values("y", array, count)
    assert texts(found) == expected
    assert found.shape == (array.shape[0], len(expected) // array.shape[0])
    assert found.dtype == "bytes"


@pytest.mark.parametrize(
    ("array", "shape", "expected"),
    [
        (np.array([0.5, 2.25], np.float32), (2,), ["2.250000:1", "0.500000:0"]),
        (np.array(7), (1,), ["7:0"]),
        (np.array([[True], [False]]), (2, 1), ["1:0", "0:0"]),
    ],
)
def test_values_are_written_by_their_type(
    array: np.ndarray, shape: tuple[int, ...], expected: list[str]
) -> None:
    found = greatest_values("y", array, 2)
    assert found.shape == shape
    assert texts(found) == expected


@settings(max_examples=50)
@given(
    arrays.arrays(
        st.sampled_from([np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.uint8)]),
        arrays.array_shapes(min_dims=0, max_dims=3, max_side=5),
    ),
    st.integers(1, 30),
)
def test_they_take_no_less_than_is_foretold(array: np.ndarray, count: int) -> None:
    assert least_bytes(array, count) <= len(greatest_values("y", array, count).data)
