"""The element types that operations read and give. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph.arguments import UnsupportedCase
from smidgen.graph.operations import (
    BOOL,
    FLOAT32,
    INT64,
    Add,
    Binary,
    Cast,
    Compare,
    Concat,
    Embedding,
    Expand,
    Flatten,
    Multiply,
    Operation,
    OpKind,
    Pad,
    Reduce,
    Reshape,
    ScaledDotProductAttention,
    Slice,
    Transpose,
    Unary,
    Where,
)


def infer_dtype(operation: Operation, inputs: Sequence[str]) -> str:
    """Returns the element type that an operation gives for the types that it reads.

    Raises:
        UnsupportedCase: It does not read such values.
    """
    allowed = _allowed(operation)
    if any(dtype not in allowed for dtype in inputs):
        raise UnsupportedCase(f"an operand of type {', '.join(sorted(set(inputs) - allowed))}")
    match operation:
        case Cast(dtype):
            return dtype
        case Compare():
            return BOOL
        case Reduce("argmax"):
            return INT64
        case Embedding() | ScaledDotProductAttention():
            return FLOAT32
        case Where():
            return _only(inputs[1:])
        case _:
            return _only(inputs)


_FLOATS, _INTEGERS, _TRUTHS = frozenset({FLOAT32}), frozenset({INT64}), frozenset({BOOL})
_NUMBERS, _ALL = _FLOATS | _INTEGERS, _FLOATS | _INTEGERS | _TRUTHS
_BY_CLASS: dict[type, frozenset[str]] = {
    **dict.fromkeys((Reshape, Flatten, Transpose, Slice, Expand, Pad, Concat, Cast), _ALL),
    **dict.fromkeys((Where, ScaledDotProductAttention), _FLOATS | _TRUTHS),
    **dict.fromkeys((Compare, Add, Multiply), _NUMBERS),
    Embedding: _INTEGERS,
}


def _allowed(operation: Operation) -> frozenset[str]:
    match operation:
        case Reduce(function="sum") | Binary(OpKind.SUB):
            return _NUMBERS
        case Binary(OpKind.AND | OpKind.OR) | Unary(OpKind.NOT):
            return _TRUTHS
        case _:
            return _BY_CLASS.get(type(operation), _FLOATS)


def _only(inputs: Sequence[str]) -> str:
    found = set(inputs)
    if len(found) != 1:
        raise UnsupportedCase(f"operands of the types {', '.join(sorted(found))}")
    return found.pop()
