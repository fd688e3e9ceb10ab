"""A program that doubles an image and clips what is too large, for tests of health."""

from __future__ import annotations

import numpy as np

from smidgen.program import (
    Conv2d,
    Dequantize,
    DType,
    HealthReference,
    Program,
    Quantize,
    TensorInfo,
    WatchedTensor,
    verify,
)

SCALE = 1 / 64  # a power of two: all of its multiples are exact


def doubling_program() -> Program:
    """Returns a program from image [N, 2, 6, 6] to answer [N, 2, 6, 6], values within [-2, 2).

    In calibration all values of the image were in [0, 1/16), and all of the result in [0, 1/8).
    """
    shape = (None, 2, 6, 6)
    program = Program(
        inputs=("image",),
        outputs=("answer",),
        tensors={
            "image": TensorInfo("image", DType.FLOAT32, shape),
            "x": TensorInfo("x", DType.UINT8, shape, SCALE, 128),
            "y": TensorInfo("y", DType.UINT8, shape, SCALE, 128),
            "answer": TensorInfo("answer", DType.FLOAT32, shape),
        },
        steps=(
            Quantize("image", "x"),
            Conv2d("x", "y", "w", "s", "b"),
            Dequantize("y", "answer"),
        ),
        constants={
            "w": np.array([[[[64]], [[0]]], [[[0]], [[64]]]], np.int8),
            "s": np.full(2, 1 / 32, np.float32),
            "b": np.zeros(2, np.int32),
        },
        health=HealthReference(
            (
                WatchedTensor("x", "0:image", -4, -32, _counts(32), 0.0),
                WatchedTensor("y", "1:doubled", -3, -16, _counts(16), 0.0),
            )
        ),
    )
    verify(program)
    return program


def _counts(place: int) -> tuple[int, ...]:
    """Returns counts of cells from -2 on, all values in the one that begins at 0."""
    counts = [0] * (2 * place + 2)
    counts[place + 1] = 1000
    return tuple(counts)
