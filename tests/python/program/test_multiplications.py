"""Multiply-accumulates of steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.program import Conv2d, DType, Linear, Program, Quantize, TensorInfo
from smidgen.program.multiplications import multiplications, total_multiplications


def small_program() -> Program:
    """A convolution of 3x3 on 4 of 8 channels, 2 groups, and nothing known of the batch."""
    tensors = [
        TensorInfo("x", DType.FLOAT32, (None, 8, 6, 6)),
        TensorInfo("q", DType.UINT8, (None, 8, 6, 6), 0.5, 128),
        TensorInfo("y", DType.UINT8, (None, 10, 4, 4), 0.5, 128),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "weight": np.ones((10, 4, 3, 3), np.int8),
        "scale": np.ones(10, np.float32),
        "bias": np.zeros(10, np.int32),
    }
    steps = (
        Quantize("x", "q"),
        Conv2d("q", "y", "weight", "scale", "bias", groups=2),
    )
    return Program(("x",), ("y",), {t.name: t for t in tensors}, steps, constants)


def test_a_convolution_multiplies_its_window_for_each_output() -> None:
    program = small_program()
    assert multiplications(program, program.steps[1], batch=1) == 10 * 4 * 4 * (4 * 3 * 3)


def test_an_open_extent_is_the_batch() -> None:
    program = small_program()
    assert total_multiplications(program, 5) == 5 * total_multiplications(program, 1)


def test_steps_without_dot_products_are_no_work() -> None:
    program = small_program()
    assert multiplications(program, program.steps[0], batch=1) == 0
    assert total_multiplications(program, 1) == multiplications(program, program.steps[1], 1)


def test_a_linear_layer_multiplies_all_inputs_for_each_output() -> None:
    tensors = [
        TensorInfo("x", DType.UINT8, (None, 7, 12), 0.5, 128),
        TensorInfo("y", DType.UINT8, (None, 7, 5), 0.5, 128),
    ]
    constants: dict[str, NDArray[np.generic]] = {
        "weight": np.ones((5, 12), np.int8),
        "scale": np.ones(5, np.float32),
        "bias": np.zeros(5, np.int32),
    }
    step = Linear("x", "y", "weight", "scale", "bias")
    program = Program(("x",), ("y",), {t.name: t for t in tensors}, (step,), constants)
    assert total_multiplications(program, 2) == 2 * 7 * 5 * 12
