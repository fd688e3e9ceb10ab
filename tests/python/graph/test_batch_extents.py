"""Arithmetic of extents that may be the batch size or a multiple of it."""

from __future__ import annotations

import pytest

from smidgen.graph.arguments import BATCH_SIZE, BatchMultiple, Size, UnsupportedCase, Value
from smidgen.graph.batch_extents import computed_extent, factor_of, multiple, product_of


@pytest.mark.parametrize(
    ("function", "numbers", "expected"),
    [
        ("mul", (3, 4), 12),
        ("floordiv", (-7, 2), -4),
        ("add", (3, 4), 7),
        ("sub", (3, 4), -1),
        ("mul", (BATCH_SIZE, 4), BatchMultiple(4)),
        ("mul", (4, BATCH_SIZE), BatchMultiple(4)),
        ("mul", (BatchMultiple(4), 3), BatchMultiple(12)),
        ("mul", (BATCH_SIZE, 1), BATCH_SIZE),
        ("floordiv", (BatchMultiple(12), 3), BatchMultiple(4)),
        ("floordiv", (BatchMultiple(4), 4), BATCH_SIZE),
        ("floordiv", (BatchMultiple(4), BATCH_SIZE), 4),
        ("floordiv", (BATCH_SIZE, BATCH_SIZE), 1),
    ],
)
def test_arithmetic_of_extents(function: str, numbers: tuple[Value, ...], expected: Value) -> None:
    assert computed_extent(function, numbers) == expected


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        ("mul", (1,)),
        ("floordiv", (1, 0)),
        ("mul", (BATCH_SIZE, BATCH_SIZE)),
        ("mul", (BATCH_SIZE, 0)),
        ("mul", (BATCH_SIZE, -2)),
        ("add", (BATCH_SIZE, 1)),
        ("sub", (BatchMultiple(4), BATCH_SIZE)),
        ("floordiv", (BatchMultiple(4), 3)),
        ("floordiv", (4, BATCH_SIZE)),
        ("mul", (BATCH_SIZE, 2.0)),
    ],
)
def test_what_is_no_multiple_of_the_batch_is_refused(
    function: str, numbers: tuple[Value, ...]
) -> None:
    with pytest.raises(UnsupportedCase, match="arithmetic of"):
        computed_extent(function, numbers)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((), 1),
        ((3, 4), 12),
        ((3, BATCH_SIZE), BatchMultiple(3)),
        ((BatchMultiple(4), 1, 2), BatchMultiple(8)),
        ((1, BATCH_SIZE), BATCH_SIZE),
    ],
)
def test_a_product_of_extents_counts_the_batch_once(
    sizes: tuple[Size, ...], expected: Size
) -> None:
    assert product_of(sizes) == expected


def test_two_batch_sizes_have_no_product() -> None:
    with pytest.raises(UnsupportedCase, match="arithmetic of the batch size"):
        product_of((BATCH_SIZE, BatchMultiple(2)))


def test_a_factor_is_how_often_an_extent_is_the_batch_size() -> None:
    assert [factor_of(size) for size in (7, BATCH_SIZE, BatchMultiple(3))] == [None, 1, 3]
    assert [multiple(1), multiple(5)] == [BATCH_SIZE, BatchMultiple(5)]
