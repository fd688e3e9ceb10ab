"""The integer program: convert returns it, artifacts store it, the engine runs it."""

from __future__ import annotations

from smidgen.program.interpreter import interpret
from smidgen.program.steps import (
    STEP_TYPES,
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dequantize,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Quantize,
    Reshape,
    Step,
    step_inputs,
)
from smidgen.program.types import DType, Program, TensorInfo
from smidgen.program.verify import verify

__all__ = [
    "STEP_TYPES",
    "Add",
    "AveragePool2d",
    "Concat",
    "Conv2d",
    "DType",
    "Dequantize",
    "GlobalAveragePool",
    "Linear",
    "Lookup",
    "MaxPool2d",
    "Program",
    "Quantize",
    "Reshape",
    "Step",
    "TensorInfo",
    "interpret",
    "step_inputs",
    "verify",
]
