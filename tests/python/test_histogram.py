"""Histograms: exact, and the same however the values were divided."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smidgen.histogram import (
    FEWEST_CELLS,
    MOST_CELLS,
    Histogram,
    capacity_for,
    count_values,
    grid_exponent,
    merge_histograms,
)

Values = NDArray[np.float32]
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
ORDINARY = st.floats(-50, 50, width=32)
lists = st.lists(st.one_of(FLOAT32, ORDINARY, st.just(0.0)), min_size=1, max_size=20)
capacities = st.sampled_from([4, 256, 2048])


def counted(values: list[float], capacity: int) -> Histogram:
    array = np.array(values, np.float32) + np.float32(0)
    return count_values(array, float(array.min()), float(array.max()), capacity)


def brute_force(values: list[float], exponent: int) -> dict[int, int]:
    counts: dict[int, int] = {}
    for value in values:
        cell = math.floor(Fraction(float(np.float32(value))) / Fraction(2) ** exponent)
        counts[cell] = counts.get(cell, 0) + 1
    return counts


def cells_of(histogram: Histogram) -> dict[int, int]:
    numbers = range(histogram.first, histogram.first + len(histogram.counts))
    return {n: int(c) for n, c in zip(numbers, histogram.counts, strict=True) if c}


@settings(max_examples=300, deadline=None)
@given(lists, capacities)
def test_counts_are_those_of_exact_arithmetic(values: list[float], capacity: int) -> None:
    found = counted(values, capacity)
    assert cells_of(found) == brute_force(values, found.exponent)
    assert len(found.counts) <= capacity
    assert found.counts[0] > 0
    assert found.counts[-1] > 0
    assert found.total == len(values)


@settings(max_examples=200, deadline=None)
@given(lists, capacities)
def test_grid_is_the_finest_that_fits(values: list[float], capacity: int) -> None:
    low, high = float(np.float32(min(values))), float(np.float32(max(values)))
    exponent = grid_exponent(low, high, capacity)
    finer = Fraction(2) ** (exponent - 1)
    cells = math.floor(Fraction(high) / finer) - math.floor(Fraction(low) / finer) + 1
    magnitude = max(abs(low), abs(high))
    numbered = magnitude > 0 and math.frexp(magnitude)[1] - 24 == exponent
    assert cells > capacity or numbered or exponent == -149


@settings(max_examples=300, deadline=None)
@given(st.lists(lists, min_size=2, max_size=4), capacities, st.randoms())
def test_any_division_and_order_give_the_same_histogram(
    parts: list[list[float]], capacity: int, random: object
) -> None:
    def merged(left: list[float], right: list[float], of: tuple[Histogram, Histogram]) -> Histogram:
        both = [float(np.float32(v)) + 0.0 for v in left + right]
        return merge_histograms(*of, low=min(both), high=max(both), capacity=capacity)

    whole = counted([value for part in parts for value in part], capacity)
    shuffled = list(parts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for order in (parts, parts[::-1], shuffled):
        values, found = order[0], counted(order[0], capacity)
        for part in order[1:]:
            found = merged(values, part, (found, counted(part, capacity)))
            values = values + part
        assert found == whole
        assert found.counts.tobytes() == whole.counts.tobytes()


def test_merging_is_associative() -> None:
    rng = np.random.default_rng(3)
    a, b, c = (list(map(float, rng.normal(size=50) * s)) for s in (1e-3, 1.0, 1e5))

    def merge(left: list[float], right: list[float], of: tuple[Histogram, Histogram]) -> Histogram:
        both = [float(np.float32(v)) for v in left + right]
        return merge_histograms(*of, low=min(both), high=max(both), capacity=2048)

    ha, hb, hc = (counted(part, 2048) for part in (a, b, c))
    left = merge(a + b, c, (merge(a, b, (ha, hb)), hc))
    right = merge(a, b + c, (ha, merge(b, c, (hb, hc))))
    assert left == right == counted(a + b + c, 2048)


@pytest.mark.parametrize("power", [-140, -120, -30, 0, 30, 120])
def test_extreme_values_have_cells(power: int) -> None:
    values = [0.0, math.ldexp(1.0, power), -math.ldexp(0.75, power)]
    found = counted(values, MOST_CELLS)
    assert cells_of(found) == brute_force(values, found.exponent)


def test_chunks_make_no_difference() -> None:
    values = np.random.default_rng(0).normal(size=100_003).astype(np.float32)
    found = count_values(values, float(values.min()), float(values.max()))
    expected, _ = np.histogram(values.astype(np.float64), found.edges)
    assert np.array_equal(found.counts, expected)
    assert len(found.counts) > MOST_CELLS / 2 - 2


def test_edges_are_multiples_of_the_width() -> None:
    found = counted([-1.0, 0.3], 4)
    assert found.width == 0.5
    assert found.low == -1.0
    assert found.edges.tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert found.counts.tolist() == [1, 0, 1]


def test_constant_has_one_cell() -> None:
    assert counted([7.25] * 5, 256).counts.tolist() == [5]


def test_huge_models_get_fewer_cells() -> None:
    assert capacity_for(0) == capacity_for(1) == capacity_for(2048) == MOST_CELLS
    assert capacity_for(2049) == MOST_CELLS // 2
    assert capacity_for(10**6) == FEWEST_CELLS
