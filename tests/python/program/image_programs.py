"""A small program of the steps on uint8 images that the first release did not have."""

from __future__ import annotations

import numpy as np

from smidgen.program import (
    ConvTranspose2d,
    Dequantize,
    DType,
    GlobalAveragePool,
    Multiply,
    Program,
    Quantize,
    Resize,
    Step,
    TensorInfo,
)


def image_step_program(seed: int = 0) -> Program:
    """Returns a valid program from image [N, 3, 4, 6] to y."""
    rng = np.random.default_rng(seed)
    tensors = [
        TensorInfo("image", DType.FLOAT32, (None, 3, 4, 6)),
        TensorInfo("x", DType.UINT8, (None, 3, 4, 6), 0.03125, 128),
        TensorInfo("mean", DType.UINT8, (None, 3, 1, 1), 0.0625, 100),
        TensorInfo("scaled", DType.UINT8, (None, 3, 4, 6), 0.125, 9),
        TensorInfo("larger", DType.UINT8, (None, 4, 8, 11), 0.25, 30),
        TensorInfo("blurred", DType.UINT8, (None, 4, 5, 12), 0.25, 30),
        TensorInfo("y", DType.FLOAT32, (None, 4, 5, 12)),
    ]
    steps: tuple[Step, ...] = (
        Quantize("image", "x"),
        GlobalAveragePool("x", "mean"),
        Multiply("mean", "x", "scaled", qmax=250),
        ConvTranspose2d(
            "scaled", "larger", "t.w", "t.s", "t.b", (2, 2), (1, 1, 1, 2), (1, 1), qmin=2
        ),
        Resize(
            "larger",
            "blurred",
            "bilinear",
            (5, 12),
            (float(np.float32(1.6)), float(np.float32(11 / 12))),
        ),
        Dequantize("blurred", "y"),
    )
    return Program(
        inputs=("image",),
        outputs=("y",),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=steps,
        constants={
            "t.w": rng.integers(-127, 128, (3, 4, 3, 3), np.int8),
            "t.s": rng.uniform(0.001, 0.01, 4).astype(np.float32),
            "t.b": rng.integers(-2000, 2000, 4, np.int32),
        },
    )
