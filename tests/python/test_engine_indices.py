"""Indices beyond a table are refused before a run, or clamped where nobody can know them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError
from smidgen.program import Binary, ConstantTensor, DType, TensorInfo, index_counts, interpret
from tests.python.program.float_programs import float_step_program


def inputs(index: int) -> dict[str, np.ndarray]:
    ids = np.zeros((2, 6), np.int64)
    ids[1, 3] = index
    return {"ids": ids, "mask": np.ones((2, 6), np.int64)}


@pytest.mark.parametrize("index", [-1, 11, 2**63 - 1, -(2**63)])
def test_an_index_that_the_table_lacks_is_refused(index: int) -> None:
    engine = Engine(float_step_program())
    with pytest.raises(InvalidTensorError, match="expected indices from 0 to 10") as caught:
        engine.run(inputs(index))
    assert caught.value.reason == "INDEX_OUT_OF_RANGE"
    engine.run(inputs(10))


def test_only_inputs_that_are_indices_have_counts() -> None:
    assert index_counts(float_step_program()) == {"ids": 11}


@pytest.mark.parametrize("index", [-(2**63), 2**63 - 1, 11])
def test_computed_indices_are_clamped(index: int) -> None:
    program = float_step_program()
    shift = ConstantTensor("shift", "s")
    shifted = Binary("ids", "shift", "shifted", "add")
    embedding = dataclasses.replace(program.steps[0], indices="shifted")
    program = dataclasses.replace(
        program,
        steps=(shift, shifted, embedding, *program.steps[1:]),
        tensors={
            **program.tensors,
            "shift": TensorInfo("shift", DType.INT64, (1,)),
            "shifted": TensorInfo("shifted", DType.INT64, (None, 6)),
        },
        constants={**program.constants, "s": np.zeros(1, np.int64)},
    )
    assert index_counts(program) == {}
    found = Engine(program).run_all(inputs(index))
    expected = interpret(program, inputs(index))
    np.testing.assert_array_equal(found["words"], expected["words"])
