"""Builds the engine's program, in which tensors and constants go by index."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from smidgen import _engine
from smidgen.program import Program, Step

NO_CONSTANT = NO_TENSOR = -1


def lower(program: Program) -> tuple[_engine.Program, dict[str, int]]:
    """Returns the engine's program and the index of each tensor by its name."""
    lowered = _engine.Program()
    tensors = {
        tensor.name: lowered.add_tensor(
            tensor.name,
            tensor.dtype.numpy,
            len(tensor.shape),
            1.0 if tensor.scale is None else tensor.scale,
            tensor.zero_point,
        )
        for tensor in program.tensors.values()
    }
    constants = {name: lowered.add_constant(values) for name, values in program.constants.items()}
    lowered.set_ends(
        [tensors[name] for name in program.inputs], [tensors[name] for name in program.outputs]
    )
    for step in program.steps:
        _add_step(lowered, step, tensors, constants)
    return lowered, tensors


def method_name(step_type: type[Step]) -> str:
    """Returns the name of the engine's method that appends such a step: add_conv2d for Conv2d."""
    return "add" + re.sub("(?=[A-Z])", "_", step_type.__name__).lower()


def _add_step(
    lowered: _engine.Program, step: Step, tensors: dict[str, int], constants: dict[str, int]
) -> None:
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(step):
        value, kind = getattr(step, field.name), str(field.type)
        if "ConstantName" in kind:
            fields[field.name] = NO_CONSTANT if value is None else constants[value]
        elif kind.startswith("tuple[TensorName"):
            fields[field.name] = [tensors[name] for name in value]
        elif "TensorName" in kind:
            fields[field.name] = NO_TENSOR if value is None else tensors[value]
        else:
            fields[field.name] = value
    getattr(lowered, method_name(type(step)))(**fields)
