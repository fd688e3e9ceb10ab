"""The steps of a program, one class an operation, one module a family.

A step names the tensors it reads and writes and the constants it uses. It holds no scale of its
own: multipliers follow from the scales of its tensors and weights (docs/arithmetic.md), so there is
one place for each number.
"""

from __future__ import annotations

import dataclasses
from typing import get_args

from smidgen.program.steps.attention import Attention, AttentionStep
from smidgen.program.steps.elementwise import (
    BINARY_TYPES,
    COMPARISONS,
    UNARY_PARAMETERS,
    Binary,
    Cast,
    Compare,
    ElementwiseStep,
    Unary,
    Where,
)
from smidgen.program.steps.fields import ConstantName, IntPair, Padding, TensorName
from smidgen.program.steps.float_layers import (
    FloatConv2d,
    FloatConvTranspose2d,
    FloatLayerStep,
)
from smidgen.program.steps.matrix import DynamicLinear, Embedding, MatMul, MatrixStep
from smidgen.program.steps.movement import (
    Concat,
    ConstantTensor,
    Expand,
    Gather,
    MovementStep,
    Pad,
    Reshape,
    Slice,
    Transpose,
)
from smidgen.program.steps.quantized import (
    Add,
    AveragePool2d,
    Conv2d,
    Dequantize,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Quantize,
    QuantizedStep,
)
from smidgen.program.steps.reduction import REDUCTIONS, LayerNorm, Reduce, ReductionStep, Softmax
from smidgen.program.steps.resampling import (
    RESIZE_MODES,
    ConvTranspose2d,
    ResamplingStep,
    Resize,
)

Step = (
    QuantizedStep
    | ResamplingStep
    | MovementStep
    | ElementwiseStep
    | ReductionStep
    | MatrixStep
    | FloatLayerStep
    | AttentionStep
)

STEP_TYPES: tuple[type[Step], ...] = get_args(Step)


_READ_FIELDS = {
    step_type: tuple(
        (field.name, str(field.type))
        for field in dataclasses.fields(step_type)
        if "TensorName" in str(field.type) and field.name != "output"
    )
    for step_type in STEP_TYPES
}

_CONSTANT_FIELDS = {
    step_type: tuple(
        field.name for field in dataclasses.fields(step_type) if "ConstantName" in str(field.type)
    )
    for step_type in STEP_TYPES
}


def step_inputs(step: Step) -> tuple[str, ...]:
    """Returns the names of the tensors that a step reads, in the order of its fields."""
    names: list[str] = []
    for field, annotation in _READ_FIELDS[type(step)]:
        value = getattr(step, field)
        if annotation.startswith("tuple"):
            names += value
        elif value is not None:
            names.append(value)
    return tuple(names)


def step_constants(step: Step) -> tuple[str, ...]:
    """Returns the names of the constants that a step reads, in the order of its fields."""
    values = (getattr(step, field) for field in _CONSTANT_FIELDS[type(step)])
    return tuple(value for value in values if value is not None)


__all__ = [
    "BINARY_TYPES",
    "COMPARISONS",
    "REDUCTIONS",
    "RESIZE_MODES",
    "STEP_TYPES",
    "UNARY_PARAMETERS",
    "Add",
    "Attention",
    "AttentionStep",
    "AveragePool2d",
    "Binary",
    "Cast",
    "Compare",
    "Concat",
    "ConstantName",
    "ConstantTensor",
    "Conv2d",
    "ConvTranspose2d",
    "Dequantize",
    "DynamicLinear",
    "ElementwiseStep",
    "Embedding",
    "Expand",
    "FloatConv2d",
    "FloatConvTranspose2d",
    "FloatLayerStep",
    "Gather",
    "GlobalAveragePool",
    "IntPair",
    "LayerNorm",
    "Linear",
    "Lookup",
    "MatMul",
    "MatrixStep",
    "MaxPool2d",
    "MovementStep",
    "Multiply",
    "Pad",
    "Padding",
    "Quantize",
    "QuantizedStep",
    "Reduce",
    "ReductionStep",
    "ResamplingStep",
    "Reshape",
    "Resize",
    "Slice",
    "Softmax",
    "Step",
    "TensorName",
    "Transpose",
    "Unary",
    "Where",
    "step_constants",
    "step_inputs",
]
