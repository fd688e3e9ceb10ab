"""A small program with convolutions on float32, between quantized values."""

from __future__ import annotations

import numpy as np

from smidgen.program import (
    Dequantize,
    DType,
    FloatConv2d,
    FloatConvTranspose2d,
    Program,
    Quantize,
    TensorInfo,
)


def float_layer_program(seed: int = 0) -> Program:
    """Returns a valid program from image [N, 3, 8, 8] to real [N, 4, 17, 18]."""
    rng = np.random.default_rng(seed)

    def f32(name: str, *shape: int) -> TensorInfo:
        return TensorInfo(name, DType.FLOAT32, (None, *shape))

    tensors = [
        f32("image", 3, 8, 8),
        TensorInfo("levels", DType.UINT8, (None, 3, 8, 8), 0.03125, 128),
        f32("rounded", 3, 8, 8),
        f32("grown", 6, 5, 8),
        f32("grouped", 4, 5, 8),
        f32("wide", 4, 17, 18),
        TensorInfo("result", DType.UINT8, (None, 4, 17, 18), 0.5, 100),
        f32("real", 4, 17, 18),
    ]
    weights = {
        "grown": rng.normal(size=(6, 3, 3, 2)),
        "grouped": rng.normal(size=(4, 3, 1, 1)),
        "wide": rng.normal(size=(4, 2, 5, 3)),
    }
    return Program(
        inputs=("image",),
        outputs=("real",),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=(
            Quantize("image", "levels"),
            Dequantize("levels", "rounded"),
            FloatConv2d("rounded", "grown", "grown.w", "grown.b", (2, 1), (2, 0, 1, 2), (1, 2)),
            FloatConv2d("grown", "grouped", "grouped.w", "grouped.b", groups=2),
            FloatConvTranspose2d(
                "grouped", "wide", "wide.w", "wide.b", (3, 2), (0, 1, 1, 0), (1, 0), (1, 2), 2
            ),
            Quantize("wide", "result"),
            Dequantize("result", "real"),
        ),
        constants={
            **{f"{name}.w": value.astype(np.float32) for name, value in weights.items()},
            **{
                f"{name}.b": rng.normal(size=outs).astype(np.float32)
                for name, outs in (("grown", 6), ("grouped", 4), ("wide", 4))
            },
        },
        lineage={"model_sha256": "00" * 32},
    )
