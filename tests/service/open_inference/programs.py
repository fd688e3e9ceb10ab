"""Programs to serve: small enough to know the answers by heart."""

from __future__ import annotations

from dataclasses import replace

from smidgen.config import Extent, Preprocessing
from smidgen.program import (
    Binary,
    Cast,
    Dequantize,
    DType,
    Program,
    Reduce,
    Step,
    TensorInfo,
    Unary,
)

PREPROCESSING = Preprocessing(resize=Extent(8, 8), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def simple() -> Program:
    """INPUT0 and INPUT1, INT64 [N, 16], to their sum OUTPUT0 and their difference OUTPUT1."""
    names = ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")
    return _program(
        [TensorInfo(name, DType.INT64, (None, 16)) for name in names],
        (
            Binary("INPUT0", "INPUT1", "OUTPUT0", "add"),
            Binary("INPUT0", "INPUT1", "OUTPUT1", "sub"),
        ),
        inputs=2,
    )


def scores() -> Program:
    """INPUT, FP32 [N, 4], to its negative OUTPUT."""
    tensors = [TensorInfo(name, DType.FLOAT32, (None, 4)) for name in ("INPUT", "OUTPUT")]
    return _program(tensors, (Unary("INPUT", "OUTPUT", "neg"),))


def levels() -> Program:
    """INPUT, UINT8 [N, 4], to OUTPUT, FP32, half of it."""
    tensors = [
        TensorInfo("INPUT", DType.UINT8, (None, 4), scale=0.5),
        TensorInfo("OUTPUT", DType.FLOAT32, (None, 4)),
    ]
    return _program(tensors, (Dequantize("INPUT", "OUTPUT"),))


def flags() -> Program:
    """INPUT, BOOL [N, 4], to OUTPUT, INT64."""
    tensors = [
        TensorInfo("INPUT", DType.BOOL, (None, 4)),
        TensorInfo("OUTPUT", DType.INT64, (None, 4)),
    ]
    return _program(tensors, (Cast("INPUT", "OUTPUT"),))


def fixed() -> Program:
    """INPUT, FP32 [2, 3] without a batch that may differ, to its negative OUTPUT."""
    tensors = [TensorInfo(name, DType.FLOAT32, (2, 3)) for name in ("INPUT", "OUTPUT")]
    return _program(tensors, (Unary("INPUT", "OUTPUT", "neg"),))


def digits() -> Program:
    """Image, FP32 [N, 1, 8, 8], to output [N, 1, 8], the means of the rows: the documentation's."""
    tensors = [
        TensorInfo("image", DType.FLOAT32, (None, 1, 8, 8)),
        TensorInfo("output", DType.FLOAT32, (None, 1, 8)),
    ]
    return _program(tensors, (Reduce("image", "output", "mean", (3,)),))


def pictures() -> Program:
    """INPUT, FP32 [N, 3, 8, 8] made of images, to OUTPUT [N, 3, 8], the means of the rows."""
    tensors = [
        TensorInfo("INPUT", DType.FLOAT32, (None, 3, 8, 8)),
        TensorInfo("OUTPUT", DType.FLOAT32, (None, 3, 8)),
    ]
    program = _program(tensors, (Reduce("INPUT", "OUTPUT", "mean", (3,)),))
    return replace(program, preprocessing=PREPROCESSING)


def _program(tensors: list[TensorInfo], steps: tuple[Step, ...], *, inputs: int = 1) -> Program:
    names = [tensor.name for tensor in tensors]
    return Program(
        inputs=tuple(names[:inputs]),
        outputs=tuple(names[inputs:]),
        tensors={tensor.name: tensor for tensor in tensors},
        steps=steps,
        constants={},
        lineage={"model_sha256": "00" * 32},
    )
