"""Which arrays the engine takes, and how it refuses others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from smidgen.engine import Engine, first_not_finite
from smidgen.errors import InvalidTensorError
from smidgen.program import (
    interpret,
)
from tests.python.program.small_network import images, small_network


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 3, 12, 12), np.float64),
        np.zeros((1, 3, 12, 12), ">f4"),
        np.zeros((1, 3, 12, 24), np.float32)[..., ::2],
    ],
    ids=["type", "byte-order", "gaps"],
)
def test_inputs_that_were_not_checked_after_all_are_refused(array: NDArray[Any]) -> None:
    engine = Engine(small_network())
    engine.run({"t0": images(1, 3, 12, 12)})
    for run in (engine.run_checked, engine.run_planned):
        with pytest.raises(InvalidTensorError, match=r"input 0 is .*expected contiguous float32"):
            run({"t0": array})


@pytest.mark.parametrize("shape", [(1, 2, 12, 12), (1, 3, 12), (0, 3, 12, 12)])
def test_checked_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    engine = Engine(small_network())
    with pytest.raises(InvalidTensorError):
        engine.run_checked({"t0": np.zeros(shape, np.float32)})


@given(
    hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=40), elements=st.floats(width=32))
)
def test_values_that_are_not_finite_are_found_as_numpy_finds_them(
    values: NDArray[np.float32],
) -> None:
    wrong = np.flatnonzero(~np.isfinite(values))
    assert first_not_finite(values) == (int(wrong[0]) if wrong.size else None)


def test_inputs_need_not_be_contiguous() -> None:
    program = small_network()
    x = images(2, 20, 20, 3).transpose(0, 3, 1, 2)
    assert not x.flags.c_contiguous
    found = Engine(program).run({"t0": x})
    np.testing.assert_array_equal(found["t9"], interpret(program, {"t0": x})["t9"])


def test_inputs_need_not_be_aligned() -> None:
    program = small_network()
    x = images(1, 3, 8, 8)
    shifted = np.frombuffer(b"." + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    assert not shifted.flags.aligned
    found = Engine(program).run({"t0": shifted})
    np.testing.assert_array_equal(found["t9"], interpret(program, {"t0": x})["t9"])


@pytest.mark.parametrize(
    ("inputs", "reason", "metadata"),
    [
        ({}, "INPUT_MISSING", {"expected": "t0"}),
        (
            {"t0": images(1, 3, 8, 8), "extra": images(1)},
            "INPUT_UNKNOWN",
            {"found": "extra", "expected": "t0"},
        ),
        (
            {"t0": images(1, 3, 8, 8).astype(np.float64)},
            "TENSOR_DTYPE_MISMATCH",
            {"found": "float64", "expected": "float32"},
        ),
        (
            {"t0": images(1, 4, 8, 8)},
            "TENSOR_SHAPE_MISMATCH",
            {"found": "[1, 4, 8, 8]", "expected": "[?, 3, ?, ?]"},
        ),
        ({"t0": images(1, 3, 8)}, "TENSOR_SHAPE_MISMATCH", {"found": "[1, 3, 8]"}),
        ({"t0": images(0, 3, 8, 8)}, "TENSOR_SHAPE_MISMATCH", {"found": "[0, 3, 8, 8]"}),
        ({"t0": images(1, 3, 1, 8)}, "TENSOR_SHAPE_MISMATCH", {}),
        ({"t0": np.full((1, 3, 8, 8), np.inf, np.float32)}, "TENSOR_NOT_FINITE", {"tensor": "t0"}),
    ],
)
def test_bad_inputs_are_refused(
    inputs: Mapping[str, NDArray[Any]], reason: str, metadata: Mapping[str, str]
) -> None:
    engine = Engine(small_network())
    with pytest.raises(InvalidTensorError) as caught:
        engine.run(inputs)
    assert caught.value.reason == reason
    assert metadata.items() <= caught.value.metadata.items()
