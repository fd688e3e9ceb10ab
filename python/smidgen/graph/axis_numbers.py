"""Numbers of axes as files state them, which may count from the back. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph.arguments import ArgumentError, Arguments


def axis_of(axis: int, rank: int) -> int:
    """Returns an axis counted from the front."""
    if not -rank <= axis < rank:
        raise ArgumentError(f"it uses axis {axis} of {rank}")
    return axis % rank


def distinct_axes(axes: Sequence[int], rank: int) -> list[int]:
    """Returns axes counted from the front, in their order.

    Raises:
        ArgumentError: There is no such axis, or one is there twice, which neither torch nor ONNX
            allows.
    """
    found: dict[int, None] = {}
    for axis in axes:  # which ends at the first that is wrong, after `rank` at most
        if axis_of(axis, rank) in found:
            raise ArgumentError(f"it uses axis {axis} of {rank} twice")
        found[axis_of(axis, rank)] = None
    return list(found)


def named_axes(arguments: Arguments, name: str, rank: int) -> set[int]:
    """Returns the axes that an argument names, counted from the front."""
    return set(distinct_axes(arguments.integers(name), rank))
