from __future__ import annotations

import numpy as np
import pytest

from smidgen.program import Program, interpret
from tests.python.program.float_programs import float_step_program
from tests.python.program.image_programs import image_step_program
from tests.python.program.small_programs import every_step_program


@pytest.mark.parametrize("program", [every_step_program(), image_step_program()])
def test_every_declared_tensor_gets_its_type_and_shape(program: Program) -> None:
    shape = (2, *program.tensor("image").shape[1:])
    image = np.random.default_rng(1).normal(0, 2, shape).astype(np.float32)
    values = interpret(program, {"image": image})
    assert values.keys() == program.tensors.keys()
    for name, tensor in program.tensors.items():
        assert values[name].dtype == tensor.dtype.numpy, name
        assert values[name].shape == (2, *tensor.shape[1:]), name


def test_clamps_bound_the_outputs() -> None:
    program = every_step_program()
    image = np.random.default_rng(1).normal(0, 2, (4, 3, 8, 8)).astype(np.float32)
    values = interpret(program, {"image": image})
    assert values["depthwise"].min() == 7
    assert values["depthwise"].max() <= 200
    assert values["add"].min() >= 3


def test_flattening_keeps_the_logical_order() -> None:
    program = every_step_program()
    image = np.random.default_rng(2).normal(0, 2, (1, 3, 8, 8)).astype(np.float32)
    values = interpret(program, {"image": image})
    assert values["flat"].ravel().tolist() == values["mean"].ravel().tolist()
    scores, logits = values["scores"].astype(int), values["logits"]
    assert logits.tolist() == ((scores - 100) * 0.125).tolist()


def test_float_steps_give_the_declared_types_and_shapes() -> None:
    program = float_step_program()
    rng = np.random.default_rng(5)
    inputs = {"ids": rng.integers(0, 11, (3, 6)), "mask": rng.integers(0, 2, (3, 6))}
    values = interpret(program, inputs)
    for name, tensor in program.tensors.items():
        assert values[name].dtype == tensor.dtype.numpy, name
        expected = tuple(3 if extent is None else extent for extent in tensor.shape)
        assert values[name].shape == expected, name
    np.testing.assert_allclose(values["weights"].sum(axis=2), 1, rtol=1e-6)
