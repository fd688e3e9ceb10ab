"""Runs from bytes to bytes are those on arrays."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from smidgen.bytes_run import BytesRun
from smidgen.engine import Engine, available_isas
from smidgen.errors import InvalidTensorError
from tests.python.program.small_network import images, small_network

SHAPE = (2, 3, 12, 12)


def planned(engine: Engine, shape: tuple[int, ...] = SHAPE) -> BytesRun:
    engine.run({"t0": images(*shape)})
    made = engine.bytes_run(shape)
    assert made is not None
    return made


@pytest.mark.parametrize("isa", available_isas())
def test_bytes_give_what_arrays_give(isa: str) -> None:
    engine = Engine(small_network(), isa=isa)
    run = planned(engine)
    for seed in range(3):
        x = images(*SHAPE, seed=seed)
        expected = engine.run({"t0": x})
        found = run.run(x.tobytes())
        assert found is not None
        values, input_s, compute_s = found
        assert [name for name, _, _ in run.outputs] == list(expected)
        for (_, dtype, shape), data, array in zip(
            run.outputs, values, expected.values(), strict=True
        ):
            assert (dtype, shape, data) == (array.dtype.name, array.shape, array.tobytes())
        assert run.output_bytes == sum(map(len, values))
        assert input_s >= 0.0
        assert compute_s > 0.0


SMALL: NDArray[np.float32] = images(1, 3, 12, 12)
ENGINE = Engine(small_network())
RUN = planned(ENGINE, SMALL.shape)


@given(offset=st.integers(0, 9))
def test_bytes_need_not_be_aligned(offset: int) -> None:
    message = b"x" * offset + SMALL.tobytes() + b"y"
    found = RUN.run(memoryview(message)[offset:-1])
    assert found is not None
    (expected,) = ENGINE.run({"t0": SMALL}).values()
    assert found[0] == (expected.tobytes(),)


@given(index=st.integers(0, SMALL.size - 1), value=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_values_that_arrays_refuse_are_left_to_them(index: int, value: float) -> None:
    wrong = SMALL.copy()
    wrong.reshape(-1)[index] = value
    assert RUN.run(wrong.tobytes()) is None
    with pytest.raises(InvalidTensorError):
        ENGINE.run({"t0": wrong})


@pytest.mark.parametrize("size", [0, 1, 4, SMALL.nbytes - 1, SMALL.nbytes + 1, 2 * SMALL.nbytes])
def test_other_numbers_of_bytes_are_left_to_arrays(size: int) -> None:
    assert RUN.run(bytes(size)) is None


def test_nothing_runs_that_has_no_plan() -> None:
    engine = Engine(small_network())
    assert engine.bytes_run(SHAPE) is None
    run = planned(engine)
    engine.drop_plans()
    assert run.run(images(*SHAPE).tobytes()) is None
    engine.run({"t0": images(*SHAPE)})
    assert run.run(images(*SHAPE).tobytes()) is not None


@pytest.mark.parametrize("shape", [(2, 3, 12), (2, 4, 12, 12)])
def test_shapes_that_do_not_fit_have_no_runs(shape: tuple[int, ...]) -> None:
    assert ENGINE.bytes_run(shape) is None


def test_a_shape_without_samples_is_refused() -> None:
    with pytest.raises(InvalidTensorError):
        ENGINE.bytes_run((0, 3, 12, 12))


def test_runs_outlive_their_engine() -> None:
    engine = Engine(small_network())
    run = planned(engine)
    x = images(*SHAPE)
    (expected,) = engine.run({"t0": x}).values()
    del engine
    gc.collect()
    found = run.run(x.tobytes())
    assert found is not None
    assert found[0] == (expected.tobytes(),)


def test_what_has_no_bytes_is_a_mistake_of_the_caller() -> None:
    with pytest.raises((TypeError, BufferError)):
        RUN.run("text")  # type: ignore[arg-type]
