"""Constants that are the same for each sample. Needs no torch.

Class tokens, positions and masks are repeated for each sample of the batch, whose size is known
only when the model runs. Such a value becomes the constant plus zeros that are computed from an
input and so have the batch's extent. Where another value that has it anyway is added, multiplied or
compared, the constant itself takes part, and what follows from repeated constants alone is
evaluated while the file is read; then nothing needs the zeros and they are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smidgen.graph.arguments import Activation, Constant, Weight
from smidgen.graph.operations import (
    BOOL,
    INT64,
    Add,
    Binary,
    Cast,
    Compare,
    Concat,
    Embedding,
    Expand,
    LayerNorm,
    Linear,
    Multiply,
    Operation,
    OpKind,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Transpose,
    Unary,
    Where,
)

_BROADCASTING = (Add, Multiply, Binary, Compare, Where)
_APART = (
    *_BROADCASTING, Cast, Concat, Embedding, Expand, LayerNorm, Linear, Reduce, Reshape, Slice,
    Softmax, Transpose, Unary,
)  # fmt: skip
"""Operations that keep the samples apart along the first axis."""


def for_one_sample(operation: Operation) -> Operation | None:
    """Returns what an operation is for a batch of one, or None if it may mix samples."""
    if not isinstance(operation, _APART):
        return None
    match operation:
        case Reshape(shape):
            return replace(operation, shape=tuple(1 if n is None else n for n in shape))
        case Expand(shape):
            return replace(operation, shape=tuple(1 if n is None else n for n in shape))
        case Concat(axis) | Slice(axis):
            return operation if axis > 0 else None
        case _:
            return operation


def without_repetition(
    operation: Operation,
    inputs: Sequence[Activation | Weight | Constant],
    sources: Sequence[Weight | Constant | None],
) -> list[Activation | Weight | Constant]:
    """Returns the inputs, in place of repeated ones their constants where others have the batch.

    Args:
        operation: What reads them.
        inputs: The values.
        sources: The constant that each of them repeats, or None.
    """
    if not isinstance(operation, _BROADCASTING):
        return list(inputs)
    rank = max(len(value.shape) for value in inputs)
    has_batch = any(
        source is None and len(value.shape) == rank and value.shape[:1] == (None,)
        for value, source in zip(inputs, sources, strict=True)
    )
    if not has_batch:
        return list(inputs)
    return [
        value if source is None else source for value, source in zip(inputs, sources, strict=True)
    ]


def zeros(source: Activation, rank: int, dtype: str) -> tuple[Operation, ...]:
    """Returns operations that make zeros [N, 1, ...] of an input with a dynamic batch.

    Nothing is less than itself, whatever the input holds.

    Args:
        source: The input.
        rank: Axes of the zeros.
        dtype: Their element type.
    """
    picked: list[Operation] = [
        Slice(axis, 0, 1) for axis, extent in enumerate(source.shape) if axis and extent != 1
    ]
    if len(source.shape) != rank:
        picked.append(Reshape((None, *(1,) * (rank - 1))))
    if source.dtype == BOOL:
        picked.append(Cast(INT64))
    return (*picked, Compare("lt"), *(() if dtype == BOOL else (Cast(dtype),)))


def addition(dtype: str) -> Operation:
    """Returns the operation that leaves a value as it is where the other is zero."""
    return Binary(OpKind.OR) if dtype == BOOL else Add()
