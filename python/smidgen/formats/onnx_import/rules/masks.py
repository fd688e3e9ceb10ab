"""Masks of attention that are added as minus infinity, which no tensor of the graph may hold.

Exporters write softmax(scores + (0 where the mask holds, else -inf)), and zeros in place of the NaN
that a row without any weight gives. Here the scores that are left out become the lowest float,
whose weight is exactly 0 beside any other, and the weights of what is left out become 0, also in
rows that have none. Where the file puts no zeros such a row is uniform, and NaN in the file. Each
function returns None where an operand is something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from smidgen.formats.onnx_import.call import Call, Foreign, Input, Result
from smidgen.graph.arguments import Activation, Constant, Tensor, UnsupportedCase, Weight
from smidgen.graph.operations import BOOL, FLOAT32

_LOWEST = Constant(np.array(np.finfo(np.float32).min, np.float32))
_ZERO = Constant(np.array(0.0, np.float32))


@dataclass(frozen=True, eq=False)
class AdditiveMask(Foreign):
    """0 where a mask holds, and -inf elsewhere."""

    shown: ClassVar[str] = "a mask of minus infinity"
    mask: Tensor


@dataclass(frozen=True, eq=False)
class MaskedScores(Foreign):
    """Scores that are -inf in the file where the mask does not hold, and the lowest float here."""

    shown: ClassVar[str] = "scores that a mask makes minus infinity"
    scores: Tensor
    mask: Tensor


@dataclass(frozen=True, eq=False)
class MaskedWeights(Foreign):
    """The softmax of masked scores; rows without any are NaN in the file, and uniform here."""

    shown: ClassVar[str] = "a softmax of rows that a mask may leave out"
    weights: Tensor
    mask: Tensor

    @property
    def tensor(self) -> Tensor:
        """The weights."""
        return self.weights


@dataclass(frozen=True, eq=False)
class EmptyRows(Foreign):
    """Whether weights are NaN, which are those of rows that the mask leaves out."""

    shown: ClassVar[str] = "whether a mask leaves out a row"
    of: MaskedWeights


def _is_number(value: Input | None, number: float) -> bool:
    return (
        isinstance(value, Constant | Weight)
        and value.dtype == FLOAT32
        and value.array.size == 1
        and float(value.array.reshape(-1)[0]) == number
    )


def where(call: Call) -> Sequence[Result] | None:
    """Where that makes a mask of 0 and -inf, or puts zeros for rows that the mask leaves out."""
    condition, first, second = (call.operand(index) for index in range(3))
    if isinstance(condition, EmptyRows):
        if condition.of is not second or not _is_number(first, 0.0):
            raise UnsupportedCase(f"its use of {condition.shown}")
        operands = {"condition": condition.of.mask, "self": condition.of.weights, "other": _ZERO}
        return call.aten("where.self", **operands)
    if not isinstance(condition, Activation | Weight | Constant) or condition.dtype != BOOL:
        return None
    if not isinstance(condition, Activation):
        return None  # a mask of numbers, in which -inf becomes the lowest float
    if _is_number(first, 0.0) and _is_number(second, -np.inf):
        return [AdditiveMask(condition)]
    if _is_number(first, -np.inf) and _is_number(second, 0.0):
        return [AdditiveMask(call.one("logical_not.default", self=condition))]
    return None


def add(call: Call) -> Sequence[Result] | None:
    """Add of scores and a mask."""
    for first, second in ((0, 1), (1, 0)):
        mask = call.operand(second)
        if isinstance(mask, AdditiveMask):
            operands = {"condition": mask.mask, "self": call.input(first), "other": _LOWEST}
            return [MaskedScores(call.one("where.self", **operands), mask.mask)]
    return None


def softmax(call: Call) -> Sequence[Result] | None:
    """Softmax of masked scores along the last axis."""
    found = call.operand(0)
    if not isinstance(found, MaskedScores):
        return None
    axis = call.integer("axis", -1)
    if axis not in (-1, len(found.scores.shape) - 1):
        raise UnsupportedCase(f"its use of {found.shown}")
    weights = call.one("softmax.int", self=found.scores, dim=-1)
    return [MaskedWeights(weights, found.mask)]


def is_nan(call: Call) -> Sequence[Result] | None:
    """IsNaN of the weights of masked scores."""
    found = call.operand(0)
    return [EmptyRows(found)] if isinstance(found, MaskedWeights) else None
