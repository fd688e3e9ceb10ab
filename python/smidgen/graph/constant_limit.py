"""How much memory constants may take that follow from a file while it is read. Needs no torch."""

from __future__ import annotations

import math

from smidgen.graph.arguments import ArgumentError, TooManyConstants

MOST_CONSTANT_ELEMENTS = 1 << 22
"""Elements of all constants of one model that are evaluated while its file is read."""


def check_constant(*extents: int) -> None:
    """Makes sure, before anything is allocated, that a constant is of a size that models need.

    Args:
        extents: Its shape, or that of a matrix on the way to it.

    Raises:
        ArgumentError: An extent is negative.
        TooManyConstants: It would have too many elements.
    """
    if min(extents, default=0) < 0:
        raise ArgumentError(f"it makes a constant of the shape {list(extents)}")
    # NumPy bounds the other extents of an empty array too.
    if math.prod(max(extent, 1) for extent in extents) > MOST_CONSTANT_ELEMENTS:
        raise TooManyConstants(
            f"a constant of the shape {list(extents)}, more than {MOST_CONSTANT_ELEMENTS} elements"
        )
