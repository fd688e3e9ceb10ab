"""The elementary functions are as near to the exact values as docs/arithmetic.md says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.functional import elementary
from smidgen.functional.types import F32

RNG = np.random.default_rng(3)


def spread(low: float, high: float) -> F32:
    """Values of all magnitudes up to the bounds, and evenly spread ones."""
    every = np.arange(0, 2**32, 40_009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    every = every[(every >= low) & (every <= high)]
    return np.concatenate([every, RNG.uniform(low, high, 20_000).astype(np.float32)])


def error_in_ulp(found: F32, exact: NDArray[np.float64]) -> float:
    """The largest distance in units of the last place, where the exact value is a normal one."""
    is_normal = (np.abs(exact) >= 2.0**-126) & (np.abs(exact) <= float(np.finfo(np.float32).max))
    exact, found = exact[is_normal], found[is_normal]
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    return float((np.abs(found.astype(np.float64) - exact) / unit).max())


Exact = Callable[[float], float]

FUNCTIONS: dict[str, tuple[Callable[[F32], F32], Exact, F32, float]] = {
    "exp": (elementary.exp, math.exp, spread(-87.3, 88.72), 1.1),
    "expm1": (elementary.expm1, math.expm1, spread(-100, 0), 1.6),
    "log": (elementary.log, math.log, spread(1e-45, 3e38), 1),
    "log near 1": (elementary.log, math.log, spread(0.5, 2), 1),
    "log1p": (elementary.log1p_of_unit, math.log1p, spread(0, 1), 1.3),
    "tanh": (elementary.tanh, math.tanh, spread(-100, 100), 1.5),
    "erf": (elementary.erf, math.erf, spread(-5, 5), 1.5),
    "sin": (elementary.sin, math.sin, spread(-(2.0**20), 2.0**20), 0.501),
    "cos": (elementary.cos, math.cos, spread(-(2.0**20), 2.0**20), 0.501),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_error_is_at_most(name: str) -> None:
    function, exact, x, most = FUNCTIONS[name]
    values = np.array([exact(float(value)) for value in x])
    assert error_in_ulp(function(x), values) <= most


def test_the_error_of_power_is_at_most_half_an_ulp() -> None:
    base, exponent = spread(0, 3e38), RNG.uniform(-20, 20, spread(0, 3e38).size).astype(np.float32)
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        exact = np.power(base.astype(np.float64), exponent.astype(np.float64))
    assert error_in_ulp(elementary.power(base, exponent), exact) <= 0.501


def test_power_has_the_special_cases_of_ieee_754() -> None:
    values = [0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, np.inf, -np.inf, np.nan, 1e30, -1e30, 2.5]
    base, exponent = (side.ravel() for side in np.meshgrid(np.float32(values), np.float32(values)))
    with np.errstate(all="ignore"):
        exact = np.power(base.astype(np.float64), exponent.astype(np.float64)).astype(np.float32)
    found = elementary.power(base, exponent)
    np.testing.assert_array_equal(found, exact)
    is_number = ~np.isnan(exact)
    np.testing.assert_array_equal(np.signbit(found[is_number]), np.signbit(exact[is_number]))


NAN, INF = math.nan, math.inf
SPECIAL: dict[str, tuple[Callable[[F32], F32], list[tuple[float, float]]]] = {
    "exp": (
        elementary.exp,
        [(0, 1), (-INF, 0), (INF, INF), (NAN, NAN), (-87.34, 0), (88.73, INF), (-3e38, 0)],
    ),
    "log": (elementary.log, [(1, 0), (0, -INF), (-0.0, -INF), (-1, NAN), (INF, INF), (NAN, NAN)]),
    "tanh": (elementary.tanh, [(0, 0), (INF, 1), (-INF, -1), (NAN, NAN)]),
    "erf": (elementary.erf, [(0, 0), (INF, 1), (-INF, -1), (NAN, NAN)]),
    "sin": (elementary.sin, [(0, 0), (INF, NAN), (NAN, NAN)]),
    "cos": (elementary.cos, [(0, 1), (-INF, NAN), (NAN, NAN)]),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str) -> None:
    function, cases = SPECIAL[name]
    x, expected = np.float32(cases).T
    np.testing.assert_array_equal(function(np.ascontiguousarray(x)), expected)


def test_large_angles_stay_within_a_period() -> None:
    x = spread(2.0**20, 3e38)
    assert np.abs(elementary.sin(x)).max() <= 1
    near = x[x < 2.0**30]
    exact = np.array([math.sin(float(value)) for value in near])
    assert np.abs(elementary.sin(near) - exact).max() < 1e-6
