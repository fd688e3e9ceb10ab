"""What each kind of step is in ONNX: one rule a type, one module a family as for the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smidgen.formats.onnx_export.rules import (
    attention,
    elementwise,
    float_layers,
    matrix,
    movement,
    quantized,
    reduction,
    resampling,
)
from smidgen.formats.onnx_export.rules.rule import Rule

RULES: Mapping[type[Any], Rule] = {
    **quantized.RULES,
    **resampling.RULES,
    **movement.RULES,
    **elementwise.RULES,
    **reduction.RULES,
    **matrix.RULES,
    **float_layers.RULES,
    **attention.RULES,
}

__all__ = ["RULES", "Rule"]
