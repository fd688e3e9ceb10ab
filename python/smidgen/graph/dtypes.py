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


def _allowed(operation: Operation) -> frozenset[str]:  # noqa: PLR0911 - a line for each family
    match operation:
        case Reshape() | Flatten() | Transpose() | Slice() | Expand() | Pad() | Concat() | Cast():
            return frozenset({FLOAT32, INT64, BOOL})
        case Compare() | Reduce(function="sum"):
            return frozenset({FLOAT32, INT64})
        case Where() | ScaledDotProductAttention():
            return frozenset({FLOAT32, BOOL})
        case Add() | Multiply() | Binary(OpKind.SUB):
            return frozenset({FLOAT32, INT64})
        case Binary(OpKind.AND | OpKind.OR) | Unary(OpKind.NOT):
            return frozenset({BOOL})
        case Embedding():
            return frozenset({INT64})
        case _:
            return frozenset({FLOAT32})


def _only(inputs: Sequence[str]) -> str:
    found = set(inputs)
    if len(found) != 1:
        raise UnsupportedCase(f"operands of the types {', '.join(sorted(found))}")
    return found.pop()
