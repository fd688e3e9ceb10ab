"""The engine gives the interpreter's bytes for random programs of all kinds of steps."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.engine import Engine, available_isas
from smidgen.program import interpret
from tests.python.program.random_programs import RandomProgram

THREADS = (1, 2, 3)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_programs_give_the_bytes_of_the_interpreter(seed: int) -> None:
    random = RandomProgram(seed)
    program, inputs = random.program(), random.inputs
    expected = interpret(program, inputs)
    for isa, threads in itertools.product(available_isas(), THREADS):
        engine = Engine(program, threads=threads, isa=isa)
        found = engine.run_all(inputs, check_finite=False)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            assert found[name].shape == values.shape
            np.testing.assert_array_equal(found[name], values, err_msg=f"{isa}, {threads}, {name}")
        # Only some tensors are kept to the end here, so that memory is laid out in another way.
        outputs = engine.run(inputs, check_finite=False)
        assert tuple(outputs) == program.outputs
        for name, values in outputs.items():
            np.testing.assert_array_equal(values, expected[name], err_msg=f"{isa}, {name}")
