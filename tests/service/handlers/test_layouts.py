"""A tensor of a known layout becomes the array that it would become after all checks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidTensorError
from smidgen.tensor_spec import TensorSpec
from smidgen_service.handlers.layouts import MOST_LAYOUTS, KnownLayouts
from smidgen_service.handlers.tensors import RawTensor, check_tensors, raw_tensor

SPECS = (TensorSpec("x", "float32", (None, 2)),)
TENSORS = st.builds(
    RawTensor,
    name=st.sampled_from(["", "x", "y"]),
    dtype=st.sampled_from(["float32", "uint8"]),
    shape=st.sampled_from([(1, 2), (2, 2), (1, 3), (4,), ()]),
    data=st.sampled_from([4, 8, 12, 16]).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    ),
)


def found(tensor: RawTensor, layouts: KnownLayouts | None) -> tuple[object, ...]:
    try:
        arrays = check_tensors([tensor], SPECS) if layouts is None else layouts.arrays([tensor])
    except InvalidTensorError as error:
        return error.reason, error.message
    ((name, array),) = arrays.items()
    return name, array.dtype, array.shape, array.tobytes(), array.flags.aligned


@settings(max_examples=300)
@given(st.lists(TENSORS, min_size=2, max_size=12))
def test_known_layouts_give_what_checks_give(tensors: list[RawTensor]) -> None:
    layouts = KnownLayouts(SPECS)
    for tensor in tensors:
        assert found(tensor, layouts) == found(tensor, None)


def test_values_that_are_not_aligned_are_copied_and_others_are_not() -> None:
    layouts = KnownLayouts(SPECS)
    tensor = raw_tensor("x", np.array([[1, 2]], np.float32))
    layouts.arrays([tensor])
    buffer = bytearray(32)
    start = -np.frombuffer(buffer, np.uint8).ctypes.data % 4
    for offset in range(4):
        view = memoryview(buffer)[start + offset : start + offset + 8]
        view[:] = tensor.data
        array = layouts.arrays([replace(tensor, data=view)])["x"]
        assert array.flags.aligned
        assert array.tolist() == [[1, 2]]
        assert np.shares_memory(array, np.frombuffer(buffer, np.uint8)) == (offset == 0)


def test_truth_values_are_looked_at_every_time() -> None:
    layouts = KnownLayouts((TensorSpec("x", "bool", (2,)),))
    layouts.arrays([RawTensor("x", "bool", (2,), b"\0\1")])
    with pytest.raises(InvalidTensorError) as caught:
        layouts.arrays([RawTensor("x", "bool", (2,), b"\0\2")])
    assert caught.value.reason == "TENSOR_VALUE_INVALID"


def test_only_so_many_layouts_are_kept() -> None:
    layouts = KnownLayouts(SPECS)
    for samples in range(1, MOST_LAYOUTS + 9):
        values = np.full((samples, 2), samples, np.float32)
        for _ in range(2):
            assert np.array_equal(layouts.arrays([raw_tensor("x", values)])["x"], values)
    assert len(layouts._fits) == MOST_LAYOUTS


def test_a_layout_is_known_once_it_was_found_to_fit() -> None:
    layouts = KnownLayouts(SPECS)
    tensor = raw_tensor("x", np.zeros((1, 2), np.float32))
    assert not layouts.knows(tensor)
    layouts.arrays([tensor])
    assert layouts.knows(replace(tensor, data=bytes(8)))
    for other in (
        replace(tensor, name=""),
        replace(tensor, dtype="int32"),
        replace(tensor, shape=(2, 1)),
        replace(tensor, data=bytes(7)),
    ):
        assert not layouts.knows(other)
