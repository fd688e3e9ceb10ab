"""What is made of the rates of two servers."""

from __future__ import annotations

from benchmarks.serving.health import HealthCost, _cost


def test_ratios_are_of_neighbouring_slices() -> None:
    on = [(99.0, 0.0101), (50.0, 0.02), (98.0, 0.0102)]
    off = [(100.0, 0.01), (50.0, 0.02), (100.0, 0.01)]
    assert _cost(2, on, off) == HealthCost(2, 3, 98.0, 100.0, 0.99, 0.98, 1.0, 1.01)
