"""The reference interpreter: runs a program step by step with smidgen.functional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from smidgen.program.interpreter import (
    attention,
    elementwise,
    float_layers,
    matrix,
    movement,
    quantized,
    reduction,
    resampling,
)
from smidgen.program.interpreter.rule import Rule, Values
from smidgen.program.types import Program

_RULES: Mapping[type[Any], Rule] = {
    **quantized.RULES,
    **resampling.RULES,
    **movement.RULES,
    **elementwise.RULES,
    **reduction.RULES,
    **matrix.RULES,
    **float_layers.RULES,
    **attention.RULES,
}


def interpret(
    program: Program, inputs: Mapping[str, NDArray[np.generic]]
) -> dict[str, NDArray[np.generic]]:
    """Runs a verified program and returns every tensor by name, intermediate ones included.

    Args:
        program: A program that `verify` accepts.
        inputs: One array for each name in program.inputs, of the declared type and shape.
    """
    values: Values = dict(inputs)
    for step in program.steps:
        values[step.output] = _RULES[type(step)](program, step, values)
    return cast("dict[str, NDArray[np.generic]]", values)
