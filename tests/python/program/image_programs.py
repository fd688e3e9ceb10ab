"""A small program of the steps on uint8 images that the first release did not have."""

from __future__ import annotations

from smidgen.program import (
    Dequantize,
    DType,
    GlobalAveragePool,
    Multiply,
    Program,
    Quantize,
    Step,
    TensorInfo,
)


def image_step_program() -> Program:
    """Returns a valid program from image [N, 3, 4, 6] to y."""
    tensors = [
        TensorInfo("image", DType.FLOAT32, (None, 3, 4, 6)),
        TensorInfo("x", DType.UINT8, (None, 3, 4, 6), 0.03125, 128),
        TensorInfo("mean", DType.UINT8, (None, 3, 1, 1), 0.0625, 100),
        TensorInfo("scaled", DType.UINT8, (None, 3, 4, 6), 0.125, 9),
        TensorInfo("y", DType.FLOAT32, (None, 3, 4, 6)),
    ]
    steps: tuple[Step, ...] = (
        Quantize("image", "x"),
        GlobalAveragePool("x", "mean"),
        Multiply("mean", "x", "scaled", qmax=250),
        Dequantize("scaled", "y"),
    )
    return Program(
        inputs=("image",),
        outputs=("y",),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=steps,
        constants={},
    )
