"""Arithmetic of extents that may be the batch size or a multiple of it. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smidgen.graph.arguments import (
    BATCH_SIZE,
    BatchMultiple,
    BatchSize,
    Size,
    UnsupportedCase,
    Value,
)


def computed_extent(function: str, numbers: Sequence[Value]) -> Value:
    """Returns what arithmetic of extents gives.

    Args:
        function: `mul`, `floordiv`, `add` or `sub`.
        numbers: The two numbers.

    Raises:
        UnsupportedCase: It is neither a number nor a multiple of the batch size.
    """
    if len(numbers) != 2:
        raise UnsupportedCase("arithmetic of other than two extents")
    first, second = numbers
    if isinstance(first, int) and isinstance(second, int) and second:
        return {
            "mul": first * second, "floordiv": first // second, "add": first + second,
            "sub": first - second,
        }[function]  # fmt: skip
    if function == "mul" and isinstance(first, int):
        first, second = second, first
    factor = factor_of(first)
    if factor is not None and isinstance(second, int) and second > 0:
        if function == "mul":
            return multiple(factor * second)
        if function == "floordiv" and factor % second == 0:
            return multiple(factor // second)
    if function == "floordiv" and factor is not None and second == BATCH_SIZE:
        return factor
    raise UnsupportedCase("arithmetic of the batch size")


def factor_of(value: Value) -> int | None:
    """Returns how often an extent is the batch size; None for what is a number."""
    if isinstance(value, BatchSize):
        return 1
    return value.factor if isinstance(value, BatchMultiple) else None


def multiple(factor: int) -> BatchSize | BatchMultiple:
    """Returns the batch size times a number of 1 or more."""
    return BATCH_SIZE if factor == 1 else BatchMultiple(factor)


def product_of(sizes: Sequence[Size]) -> Size:
    """Returns the product of extents, of which at most one is a multiple of the batch size.

    Raises:
        UnsupportedCase: More than one is.
    """
    factors = [factor for factor in map(factor_of, sizes) if factor is not None]
    number = math.prod(size for size in sizes if isinstance(size, int))
    if len(factors) > 1:
        raise UnsupportedCase("arithmetic of the batch size")
    return multiple(factors[0] * number) if factors else number
