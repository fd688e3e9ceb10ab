"""A small program with one step of every kind of the first release, for tests that need one."""

from __future__ import annotations

import dataclasses

import numpy as np

from smidgen.program import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dequantize,
    DType,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Program,
    Quantize,
    Reshape,
    Step,
    TensorInfo,
    WeightPacking,
)


def every_step_program(seed: int = 0) -> Program:
    """Returns a valid program from image [N, 3, 8, 8] to logits [N, 5].

    It has every kind of step that the first release had; the golden artifact is this program.
    """
    rng = np.random.default_rng(seed)

    def u8(name: str, *shape: int, scale: float = 0.5, zero_point: int = 3) -> TensorInfo:
        return TensorInfo(name, DType.UINT8, (None, *shape), scale, zero_point)

    tensors = [
        TensorInfo("image", DType.FLOAT32, (None, 3, 8, 8)),
        u8("x", 3, 8, 8, scale=0.03125, zero_point=128),
        u8("conv", 8, 8, 8, scale=0.25, zero_point=0),
        u8("depthwise", 8, 4, 4, scale=0.75, zero_point=7),
        u8("pool", 8, 4, 4, scale=0.25, zero_point=0),
        u8("add", 8, 4, 4),
        u8("table", 8, 4, 4),
        u8("joined", 16, 4, 4),
        u8("average", 16, 2, 2, scale=0.25),
        u8("mean", 16, 1, 1, scale=0.25),
        u8("flat", 16, scale=0.25),
        u8("scores", 5, scale=0.125, zero_point=100),
        TensorInfo("logits", DType.FLOAT32, (None, 5)),
    ]
    steps: tuple[Step, ...] = (
        Quantize("image", "x"),
        Conv2d("x", "conv", "c.w", "c.s", "c.b", padding=(1, 1, 1, 1)),
        Conv2d(
            "conv",
            "depthwise",
            "d.w",
            "d.s",
            "d.b",
            (2, 2),
            (1, 1, 1, 1),
            groups=8,
            qmin=7,
            qmax=200,
        ),
        MaxPool2d("conv", "pool", (3, 3), (2, 2), (1, 1, 1, 1)),
        Add("depthwise", "pool", "add", qmin=3),
        Lookup("add", "table", "t"),
        Concat(("add", "table"), "joined"),
        AveragePool2d("joined", "average", (2, 2), (2, 2)),
        GlobalAveragePool("average", "mean"),
        Reshape("mean", "flat", (0, -1)),
        Linear("flat", "scores", "l.w", "l.s", "l.b"),
        Dequantize("scores", "logits"),
    )

    def weights(prefix: str, *shape: int) -> dict[str, np.ndarray]:
        return {
            f"{prefix}.w": rng.integers(-127, 128, shape, np.int8),
            f"{prefix}.s": rng.uniform(0.001, 0.01, shape[0]).astype(np.float32),
            f"{prefix}.b": rng.integers(-2000, 2000, shape[0], np.int32),
        }

    constants = {
        **weights("c", 8, 3, 3, 3),
        **weights("d", 8, 1, 3, 3),
        **weights("l", 5, 16),
        "t": rng.permutation(256).astype(np.uint8),
    }
    return Program(
        inputs=("image",),
        outputs=("logits",),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=steps,
        constants=constants,
        lineage={"model_sha256": "00" * 32},
    )


def int4_program() -> Program:
    """Returns that program with int4 weights: the first layer in groups, the last per channel."""
    program, rng = every_step_program(), np.random.default_rng(1)
    multipliers = np.repeat(rng.integers(1, 19, (8, 1)), 27, axis=1)
    convolution = rng.integers(-7, 8, (8, 27)) * multipliers
    constants = {
        "c.w": convolution.astype(np.int8).reshape(8, 3, 3, 3),
        "l.w": rng.integers(-7, 8, (5, 16), np.int8),
    }
    return dataclasses.replace(
        program,
        constants={**program.constants, **constants},
        packing={"c.w": WeightPacking(32), "l.w": WeightPacking(0)},
    )


def with_step(program: Program, index: int, **changes: object) -> Program:
    """Returns the program with some fields of one step changed."""
    steps = list(program.steps)
    steps[index] = dataclasses.replace(steps[index], **changes)
    return dataclasses.replace(program, steps=tuple(steps))


def with_tensor(program: Program, name: str, **changes: object) -> Program:
    """Returns the program with some fields of one tensor changed."""
    tensors = dict(program.tensors)
    tensors[name] = dataclasses.replace(tensors[name], **changes)
    return dataclasses.replace(program, tensors=tensors)


def with_constant(program: Program, name: str, value: np.ndarray) -> Program:
    """Returns the program with another constant."""
    return dataclasses.replace(program, constants={**program.constants, name: value})
