"""How many multiplications and additions a program's steps take."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from smidgen.program import Conv2d, Linear, Program, Step


def multiplications(program: Program, step: Step, batch: int) -> int:
    """Returns the multiply-accumulates of a step; 0 for a step that does no dot products."""
    rule = _RULES.get(type(step))
    return 0 if rule is None else rule(program, step, batch)


def total_multiplications(program: Program, batch: int) -> int:
    """Returns the multiply-accumulates of one run."""
    return sum(multiplications(program, step, batch) for step in program.steps)


def _layer(program: Program, step: Conv2d | Linear, batch: int) -> int:
    shape = program.tensor(step.output).shape
    outputs = math.prod(batch if extent is None else extent for extent in shape)
    return outputs * math.prod(program.constants[step.weight].shape[1:])


_RULES: Mapping[type[Step], Callable[[Program, Any, int], int]] = {Conv2d: _layer, Linear: _layer}
