"""Histograms that can be merged: the same values give the same one, however they were divided.

Cells lie on a grid of powers of two, [i * 2**exponent, (i + 1) * 2**exponent). The exponent follows
from the smallest and the largest value alone, and a coarser grid's cells are pairs of cells, so
that counting, coarsening and merging are exact. Memory does not depend on the number of values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_CELLS = 2048
FEWEST_CELLS = 256
_ALL_CELLS = 1 << 22
_SMALLEST_EXPONENT = -149  # every float32 is a multiple of 2**-149
_MANTISSA_BITS = 24
_CHUNK = 1 << 15  # stays in the first caches

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How many values fell into each cell of a grid.

    Attributes:
        exponent: Base 2 logarithm of a cell's width.
        first: Number of the first cell, the one with the smallest value.
        counts: [cells] int64, at most `capacity`; the first and the last are not 0. Read-only.
        capacity: Most cells; wider data get wider cells.
    """

    exponent: int
    first: int
    counts: Counts
    capacity: int = MOST_CELLS

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        grid = (self.exponent, self.first, self.capacity)
        return grid == (other.exponent, other.first, other.capacity) and np.array_equal(
            self.counts, other.counts
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def width(self) -> float:
        """Width of a cell."""
        return math.ldexp(1.0, self.exponent)

    @property
    def low(self) -> float:
        """Lower end of the first cell."""
        return math.ldexp(self.first, self.exponent)

    @property
    def edges(self) -> NDArray[np.float64]:
        """[cells + 1] float64: the ends of the cells, exact."""
        return np.ldexp(
            np.arange(self.first, self.first + len(self.counts) + 1, dtype=np.float64),
            self.exponent,
        )

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())


def count_values(
    values: NDArray[np.float32], low: float, high: float, capacity: int = MOST_CELLS
) -> Histogram:
    """Counts values.

    Args:
        values: float32 of any shape, not empty, all finite.
        low: The smallest of them.
        high: The largest of them.
        capacity: Most cells.
    """
    exponent = grid_exponent(low, high, capacity)
    first = _cell(low, exponent)
    cells = _cell(high, exponent) - first + 1
    # float32 is exact where scaling neither overflows nor leaves the normal numbers.
    kind = np.float32 if -126 <= exponent <= 0 else np.float64
    factor = kind(math.ldexp(1.0, -exponent))
    scaled, numbers = np.empty(_CHUNK, kind), np.empty(_CHUNK, np.intp)
    counts = np.zeros(cells, np.int64)
    flat = values.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        size = part.size
        np.multiply(part, factor, out=scaled[:size], dtype=kind)
        np.floor(scaled[:size], out=scaled[:size])
        np.subtract(scaled[:size], kind(first), out=scaled[:size])
        np.copyto(numbers[:size], scaled[:size], casting="unsafe")
        counts += np.bincount(numbers[:size], minlength=cells)
    return Histogram(exponent, first, _frozen(counts), capacity)


def merge_histograms(
    left: Histogram, right: Histogram, *, low: float, high: float, capacity: int
) -> Histogram:
    """Returns the histogram of the values of both.

    Args:
        left: The one.
        right: The other.
        low: The smallest value of both.
        high: The largest value of both.
        capacity: Most cells, at most those of either.
    """
    exponent = grid_exponent(low, high, capacity)
    first = _cell(low, exponent)
    counts = np.zeros(_cell(high, exponent) - first + 1, np.int64)
    for part in (left, right):
        coarse_first, coarse = coarsened(part, exponent)
        start = coarse_first - first
        counts[start : start + len(coarse)] += coarse
    return Histogram(exponent, first, _frozen(counts), capacity)


def grid_exponent(low: float, high: float, capacity: int) -> int:
    """Returns the exponent of the finest grid that holds [low, high] in `capacity` cells.

    Cells are also so wide that float32 tells their numbers apart. Both only grow with the range.

    >>> grid_exponent(-1.0, 1.0, 2048)
    -9
    """
    magnitude = math.frexp(max(abs(low), abs(high)))[1] if low or high else -math.inf
    exponent = int(max(_SMALLEST_EXPONENT, magnitude - _MANTISSA_BITS))
    if high > low:
        # One less than can be needed, because the difference may have been rounded up.
        least = math.frexp(high - low)[1] - capacity.bit_length() - 1
        exponent = max(exponent, least)
    while _cell(high, exponent) - _cell(low, exponent) >= capacity:
        exponent += 1
    return exponent


def capacity_for(tensors: int) -> int:
    """Returns how many cells each of several histograms may have: fewer only for huge models.

    >>> capacity_for(100), capacity_for(8192)
    (2048, 512)
    """
    share = _ALL_CELLS // max(tensors, 1)
    return min(max(1 << (share.bit_length() - 1), FEWEST_CELLS), MOST_CELLS)


def _cell(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))


def coarsened(histogram: Histogram, exponent: int) -> tuple[int, Counts]:
    """Returns the first cell and the counts on a grid that is as coarse or coarser."""
    step = exponent - histogram.exponent
    last = histogram.first + len(histogram.counts) - 1
    first = histogram.first >> step
    cells = (last >> step) - first + 1
    if step == 0:
        return first, histogram.counts
    numbers = (np.arange(histogram.first, last + 1, dtype=np.int64) >> min(step, 62)) - first
    coarse = np.zeros(cells, np.int64)
    np.add.at(coarse, numbers, histogram.counts)
    return first, coarse


def _frozen(counts: Counts) -> Counts:
    counts.flags.writeable = False
    return counts
