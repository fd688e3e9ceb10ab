"""Evaluates operations on constants while a file is read. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.graph.arguments import UnsupportedCase
from smidgen.graph.operations import (
    Add,
    Binary,
    Cast,
    Clamp,
    Compare,
    Concat,
    Embedding,
    Expand,
    Linear,
    MatMul,
    Multiply,
    Operation,
    OpKind,
    Pow,
    Reduce,
    Reshape,
    Slice,
    Transpose,
    Unary,
    Where,
)

Array = NDArray[Any]

_BINARY: Mapping[OpKind, Callable[[Array, Array], Array]] = {
    OpKind.SUB: np.subtract,
    OpKind.DIV: np.divide,
    OpKind.AND: np.logical_and,
    OpKind.OR: np.logical_or,
    OpKind.MINIMUM: np.minimum,
    OpKind.MAXIMUM: np.maximum,
}
_UNARY: Mapping[OpKind, Callable[[Array], Array]] = {
    OpKind.NOT: np.logical_not,
    OpKind.NEG: np.negative,
    OpKind.ABS: np.abs,
    OpKind.EXP: np.exp,
    OpKind.LOG: np.log,
    OpKind.SQRT: np.sqrt,
    OpKind.RECIPROCAL: np.reciprocal,
    OpKind.RSQRT: lambda x: np.reciprocal(np.sqrt(x)),
    OpKind.SIN: np.sin,
    OpKind.COS: np.cos,
    OpKind.TANH: np.tanh,
    OpKind.FLOOR: np.floor,
    OpKind.RELU: lambda x: np.maximum(x, x.dtype.type(0)),
    OpKind.SIGMOID: lambda x: np.reciprocal(1 + np.exp(-x)),
}
_REDUCTIONS: Mapping[str, Callable[..., Array]] = {
    "sum": np.sum,
    "mean": np.mean,
    "maximum": np.max,
    "minimum": np.min,
}
_COMPARISONS: Mapping[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def evaluate(operation: Operation, inputs: Sequence[Array], weights: Mapping[str, Array]) -> Array:
    """Returns what an operation gives for constant inputs.

    Args:
        operation: The operation.
        inputs: Arrays that its shape rule accepts.
        weights: The arrays of weights by name.

    Raises:
        UnsupportedCase: The operation is none of those that models apply to constants, or not to
            elements of this type.
    """
    try:
        with np.errstate(all="ignore"):
            result = _evaluate(operation, inputs, weights)
    except TypeError:
        types = ", ".join(sorted({value.dtype.name for value in inputs}))
        raise UnsupportedCase(f"constants of the type {types}") from None
    if result is None:
        raise UnsupportedCase("its inputs are all constant")
    # NumPy computes functions of integers in float64, torch in float32.
    return result.astype(np.float32) if result.dtype == np.float64 else result


def _evaluate(  # noqa: PLR0911, PLR0912 - one line for each operation
    operation: Operation, inputs: Sequence[Array], weights: Mapping[str, Array]
) -> Array | None:
    first = inputs[0]
    match operation:
        case Add():
            return np.add(*inputs)
        case Multiply():
            return np.multiply(*inputs)
        case Binary(kind) if kind in _BINARY:
            return _BINARY[kind](*inputs)
        case Compare(function):
            return _COMPARISONS[function](*inputs)
        case Where():
            return np.where(*inputs)
        case Cast(dtype):
            return first.astype(dtype)
        case MatMul():
            return np.asarray(np.matmul(*inputs))
        case Linear(weight, bias, is_transposed):
            matrix = weights[weight] if is_transposed else weights[weight].T
            product: Array = np.matmul(first, matrix)
            return product if bias is None else np.add(product, weights[bias])
        case Concat(axis):
            return np.concatenate(inputs, axis)
        case Unary(kind) if kind in _UNARY:
            return _UNARY[kind](first)
        case Clamp(minimum, maximum):
            return np.clip(first, minimum, maximum)
        case Pow(exponent):
            return np.power(first, exponent, dtype=first.dtype)
        case Reduce(function, axes, keep_dims) if function in _REDUCTIONS:
            return _REDUCTIONS[function](first, axis=axes, keepdims=keep_dims)
        case Embedding(weight):
            table = weights[weight]
            if first.size and not 0 <= first.min() <= first.max() < len(table):
                raise UnsupportedCase("constant indices beyond the table")
            return np.asarray(table[first])
        case _:
            return _moved(operation, first)


def _moved(operation: Operation, value: Array) -> Array | None:
    """Evaluates operations that move elements."""
    match operation:
        case Transpose(permutation):
            return value.transpose(permutation)
        case Slice(axis, start, stop, step):
            return value[(slice(None),) * axis + (slice(start, stop, step),)]
        case Expand(shape):
            return np.broadcast_to(value, [extent or 1 for extent in shape])
        case Reshape(shape):
            return value.reshape([extent or 1 for extent in shape])
        case _:
            return None
