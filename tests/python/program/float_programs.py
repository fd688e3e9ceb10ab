"""A small program with one step of every kind that works on floats, indices or masks."""

from __future__ import annotations

import numpy as np

from smidgen.program import (
    Binary,
    Cast,
    Compare,
    Concat,
    ConstantTensor,
    DType,
    DynamicLinear,
    Embedding,
    Expand,
    Gather,
    LayerNorm,
    MatMul,
    Pad,
    Program,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Step,
    TensorInfo,
    Transpose,
    Unary,
    Where,
)


def float_step_program(seed: int = 0) -> Program:
    """Returns a valid program from ids [N, 6] and mask [N, 6] int64 to scores [N, 3] and place."""
    rng = np.random.default_rng(seed)

    def f32(name: str, *shape: int) -> TensorInfo:
        return TensorInfo(name, DType.FLOAT32, (None, *shape))

    tensors = [
        TensorInfo("ids", DType.INT64, (None, 6)),
        TensorInfo("mask", DType.INT64, (None, 6)),
        f32("words", 6, 8),
        TensorInfo("places", DType.FLOAT32, (6, 8)),
        f32("sum", 6, 8),
        f32("normed", 6, 8),
        f32("query", 6, 8),
        f32("scores", 6, 6),
        TensorInfo("zero", DType.INT64, (1,)),
        TensorInfo("is_padding", DType.BOOL, (None, 6)),
        TensorInfo("rows", DType.BOOL, (None, 1, 6)),
        TensorInfo("all_rows", DType.BOOL, (None, 6, 6)),
        TensorInfo("lowest", DType.FLOAT32, (1,)),
        f32("masked", 6, 6),
        f32("weights", 6, 6),
        f32("mixed", 6, 8),
        f32("turned", 8, 6),
        f32("half", 4, 6),
        f32("wide", 4, 8),
        f32("broad", 8, 8),
        f32("joined", 12, 8),
        f32("active", 12, 8),
        TensorInfo("picks", DType.INT64, (2,)),
        f32("picked", 2, 8),
        f32("mean", 8),
        TensorInfo("flags", DType.FLOAT32, (None, 6)),
        TensorInfo("place", DType.INT64, (None,)),
    ]
    steps: tuple[Step, ...] = (
        Embedding("ids", "words", "e.w", "e.s"),
        ConstantTensor("places", "p"),
        Binary("words", "places", "sum", "add"),
        LayerNorm("sum", "normed", 2.0**-17, "n.w", "n.b"),
        DynamicLinear("normed", "query", "q.w", "q.s", "q.b"),
        MatMul("query", "normed", "scores", transpose_rhs=True),
        ConstantTensor("zero", "z"),
        Compare("mask", "zero", "is_padding", "eq"),
        Reshape("is_padding", "rows", (0, 1, 6)),
        Expand("rows", "all_rows", (0, 6, 6)),
        ConstantTensor("lowest", "l"),
        Where("all_rows", "lowest", "scores", "masked"),
        Softmax("masked", "weights", 2),
        MatMul("weights", "normed", "mixed"),
        Transpose("mixed", "turned", (0, 2, 1)),
        Slice("turned", "half", 1, 0, 8, 2),
        Pad("half", "wide", ((0, 0), (0, 0), (1, 1)), 0.5),
        Pad("turned", "broad", ((0, 0), (0, 0), (0, 2))),
        Concat(("wide", "broad"), "joined"),
        Unary("joined", "active", "gelu"),
        ConstantTensor("picks", "k"),
        Gather("active", "picks", "picked", 1),
        Reduce("picked", "mean", "mean", (1,)),
        Cast("mask", "flags"),
        Reduce("flags", "place", "argmax", (1,)),
    )
    constants = {
        "e.w": rng.integers(-127, 128, (11, 8), np.int8),
        "e.s": rng.uniform(0.001, 0.1, 11).astype(np.float32),
        "p": rng.normal(size=(6, 8)).astype(np.float32),
        "n.w": rng.normal(size=8).astype(np.float32),
        "n.b": rng.normal(size=8).astype(np.float32),
        "q.w": rng.integers(-127, 128, (8, 8), np.int8),
        "q.s": rng.uniform(0.001, 0.1, 8).astype(np.float32),
        "q.b": rng.normal(size=8).astype(np.float32),
        "z": np.zeros(1, np.int64),
        "l": np.full(1, -1e9, np.float32),
        "k": np.array([0, 11], np.int64),
    }
    return Program(
        inputs=("ids", "mask"),
        outputs=("mean", "place"),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=steps,
        constants=constants,
        lineage={"model_sha256": "00" * 32},
    )
