"""What verify checks of each step, one module a family; a rule returns the output's shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from smidgen.program.rules import (
    attention,
    elementwise,
    float_layers,
    matrix,
    movement,
    quantized,
    reduction,
    resampling,
)
from smidgen.program.shapes import Shape
from smidgen.program.steps import Step
from smidgen.program.types import Program

RULES: Mapping[type[Step], Callable[[Program, Any], Shape]] = {
    **quantized.RULES,
    **resampling.RULES,
    **movement.RULES,
    **elementwise.RULES,
    **reduction.RULES,
    **matrix.RULES,
    **float_layers.RULES,
    **attention.RULES,
}
