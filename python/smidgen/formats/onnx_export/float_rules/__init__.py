"""What each kind of float operation is in ONNX: one rule a type, one module a family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smidgen.formats.onnx_export.float_rules import (
    attention,
    elementwise,
    layers,
    movement,
    normalization,
    pools,
    reductions,
)
from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write

FLOAT_RULES: Mapping[type[Any], FloatRule] = {
    **layers.RULES,
    **pools.RULES,
    **normalization.RULES,
    **elementwise.RULES,
    **movement.RULES,
    **reductions.RULES,
    **attention.RULES,
}

__all__ = ["FLOAT_RULES", "FloatRule", "Write"]
