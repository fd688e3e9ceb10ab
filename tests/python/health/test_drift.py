"""The distance of two distributions."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from smidgen.health.drift import jensen_shannon

histograms = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=20
).filter(lambda pairs: all(sum(column) > 0 for column in zip(*pairs, strict=True)))


@given(histograms)
def test_it_is_bounded_symmetric_and_knows_no_scale(pairs: list[tuple[int, int]]) -> None:
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    found = jensen_shannon(left, right)
    assert 0.0 <= found <= 1.0
    assert math.isclose(found, jensen_shannon(right, left), abs_tol=1e-12)
    assert math.isclose(found, jensen_shannon([7 * n for n in left], right), abs_tol=1e-9)
    assert jensen_shannon(left, left) == 0.0


def test_known_values() -> None:
    assert jensen_shannon([1, 0], [0, 1]) == 1.0
    half = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5) / 2  # written out by hand
    assert math.isclose(jensen_shannon([1, 0], [1, 1]), half)
