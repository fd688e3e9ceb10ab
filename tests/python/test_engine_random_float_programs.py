"""The engine gives the interpreter's bytes for random programs of the float steps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smidgen.engine import Engine, available_isas
from smidgen.program import Program, index_counts, interpret
from tests.python.program.random_float_programs import RandomFloatProgram

THREADS = (1, 2, 3)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_programs_give_the_bytes_of_the_interpreter(seed: int) -> None:
    random = RandomFloatProgram(seed)
    program = random.program()
    inputs = within_tables(program, random.inputs)
    expected = interpret(program, inputs)
    for isa, threads in itertools.product(available_isas(), THREADS):
        engine = Engine(program, threads=threads, isa=isa)
        found = engine.run_all(inputs, check_finite=False)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert_same(found[name], values, f"{isa}, {threads}, {name}")
        # Only some tensors are kept to the end here, so that memory is laid out in another way.
        for name, values in engine.run(inputs, check_finite=False).items():
            assert_same(values, expected[name], f"{isa}, {threads}, {name}")


def within_tables(program: Program, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Returns the inputs with indices brought into the tables that they read from.

    The engine refuses others before it runs; test_engine_indices.py holds it to that.
    """
    counts = index_counts(program)
    return {
        name: values % counts[name] if name in counts else values for name, values in inputs.items()
    }


def assert_same(found: np.ndarray, expected: np.ndarray, message: str) -> None:
    """Checks type, shape and every bit but those of NaN, whose sign and payload are undefined."""
    assert found.dtype == expected.dtype, message
    assert found.shape == expected.shape, message
    np.testing.assert_array_equal(found, expected, err_msg=message)
    if found.dtype == np.float32:
        is_zero = expected == 0
        np.testing.assert_array_equal(
            np.signbit(found[is_zero]), np.signbit(expected[is_zero]), err_msg=message
        )
