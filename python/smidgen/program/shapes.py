"""Shape rules of the steps, over extents that are known or None (may differ from run to run)."""

from __future__ import annotations

import math

from smidgen.errors import ProgramError
from smidgen.functional import window_count
from smidgen.program.steps import Padding

Extent = int | None
Shape = tuple[Extent, ...]


def windowed_shape(
    shape: Shape,
    channels: Extent,
    *,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int],
) -> Shape:
    """Returns [N, channels, OH, OW] for windows over [N, C, H, W].

    Raises:
        ProgramError: no window fits.
    """
    top, left, bottom, right = padding
    height = _windowed_extent(shape[2], kernel[0], stride[0], top + bottom, dilation[0])
    width = _windowed_extent(shape[3], kernel[1], stride[1], left + right, dilation[1])
    return (shape[0], channels, height, width)


def _windowed_extent(
    extent: Extent, kernel: int, stride: int, padding: int, dilation: int
) -> Extent:
    if extent is None:
        return None
    count = window_count(extent, kernel, stride, padding, dilation)
    if count < 1:
        raise ProgramError(
            f"a window of {kernel} with dilation {dilation} does not fit into {extent} "
            f"with padding {padding}",
            reason="PROGRAM_SHAPE_MISMATCH",
        )
    return count


def reshaped_shape(shape: Shape, target: tuple[int, ...]) -> Shape:
    """Returns the shape after Reshape: 0 keeps the extent at its place, -1 takes what is left.

    Raises:
        ProgramError: the target does not hold the same number of values.
    """
    kept = [_kept_extent(shape, axis) if n == 0 else n for axis, n in enumerate(target)]
    rest, left = _without_equal(list(shape), [n for n in kept if n != -1])
    if -1 not in target:
        fits = not rest and not left
        if None not in rest and None not in left:
            fits = math.prod(_known(rest)) == math.prod(_known(left))
        if not fits:
            raise _no_fit(shape, target)
        return tuple(kept)
    if None in rest or None in left:
        inferred: Extent = None
    else:
        inferred, remainder = divmod(math.prod(_known(rest)), math.prod(_known(left)))
        if remainder:
            raise _no_fit(shape, target)
    return tuple(inferred if n == -1 else n for n in kept)


def broadcast_shape(lhs: Shape, rhs: Shape) -> Shape:
    """Returns the shape of two tensors broadcast against each other, as numpy does.

    Where one extent is unknown, it is taken to fit.

    Raises:
        ProgramError: two extents differ and neither is 1.
    """
    rank = max(len(lhs), len(rhs))
    left, right = ((1,) * (rank - len(shape)) + shape for shape in (lhs, rhs))
    return tuple(_broadcast_extent(a, b, lhs, rhs) for a, b in zip(left, right, strict=True))


def _broadcast_extent(a: Extent, b: Extent, lhs: Shape, rhs: Shape) -> Extent:
    if a == 1:
        return b
    if b in (1, a):
        return a
    if a is None or b is None:
        return b if a is None else a
    raise ProgramError(
        f"shapes {list(lhs)} and {list(rhs)} cannot be broadcast",
        reason="PROGRAM_SHAPE_MISMATCH",
    )


def sliced_extent(extent: Extent, start: int, stop: int, stride: int) -> Extent:
    """Returns how many values a slice keeps of an axis.

    Raises:
        ProgramError: it keeps none.
    """
    if extent is None:
        return None
    count = len(range(*slice(start, stop, stride).indices(extent)))
    if count < 1:
        raise ProgramError(
            f"the slice {start}:{stop}:{stride} of {extent} values is empty",
            reason="PROGRAM_SHAPE_MISMATCH",
        )
    return count


def _known(extents: list[Extent]) -> list[int]:
    return [extent for extent in extents if extent is not None]


def _kept_extent(shape: Shape, axis: int) -> Extent:
    if axis >= len(shape):
        raise _no_fit(shape, (0,) * (axis + 1))
    return shape[axis]


def _without_equal(source: list[Extent], target: list[Extent]) -> tuple[list[Extent], list[Extent]]:
    """Strikes each unknown extent of the target out of both lists; what stays must be computed."""
    for extent in [n for n in target if n is None]:
        if extent in source:
            source.remove(extent)
            target.remove(extent)
    return source, target


def _no_fit(shape: Shape, target: tuple[int, ...]) -> ProgramError:
    return ProgramError(
        f"shape {list(shape)} cannot become {list(target)}",
        reason="PROGRAM_SHAPE_MISMATCH",
    )
