"""The arithmetic of the float steps does what torch's functions of the same names do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from smidgen import functional
from smidgen.program import UNARY_PARAMETERS

RNG = np.random.default_rng(4)
PARAMETERS = {"clamp": (-1.0, 2.0), "elu": (0.5,), "leaky_relu": (0.125,), "pow": (1.5,)}
TORCH: dict[str, Callable[[Any], Any]] = {
    "abs": torch.abs,
    "clamp": lambda x: torch.clamp(x, -1, 2),
    "cos": torch.cos,
    "elu": lambda x: F.elu(x, 0.5),
    "erf": torch.erf,
    "exp": torch.exp,
    "floor": torch.floor,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.125),
    "log": torch.log,
    "mish": F.mish,
    "neg": torch.neg,
    "pow": lambda x: x**1.5,
    "reciprocal": torch.reciprocal,
    "relu": torch.relu,
    "round": torch.round,
    "rsqrt": torch.rsqrt,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sin": torch.sin,
    "softplus": F.softplus,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("function", [name for name in UNARY_PARAMETERS if name != "not"])
def test_unary_functions_are_those_of_torch(function: str) -> None:
    x = np.concatenate([RNG.normal(0, 3, 5000), RNG.uniform(-80, 80, 1000), [0, -0.0, np.nan]])
    x = np.append(x, [np.inf, -np.inf]).astype(np.float32)
    found = functional.unary(x, function, PARAMETERS.get(function, ()))
    exact = TORCH[function](torch.from_numpy(x).double()).numpy()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    is_finite = np.isfinite(exact)
    np.testing.assert_array_equal(found[~is_finite], exact[~is_finite].astype(np.float32))
    # gelu and silu lose digits where they come near 0 for negative x, so the size of x counts.
    x, found, exact = x[is_finite], found[is_finite], exact[is_finite]
    size = np.maximum(np.abs(exact), np.abs(x) / 4)
    assert (np.abs(found - exact) <= 5 * 2.0**-24 * size).all()


@pytest.mark.parametrize("exponent", [-1.0, -0.5, 0.5, 1.0, 2.0, 3.0, -2.0])
def test_powers_with_few_roundings(exponent: float) -> None:
    x = RNG.uniform(0.01, 30, 1000).astype(np.float32)
    found = functional.unary(x, "pow", (exponent,))
    np.testing.assert_allclose(found, x.astype(np.float64) ** exponent, rtol=2e-7)


def test_maximum_and_minimum_hand_on_nan() -> None:
    lhs, rhs = np.float32([1, np.nan, 2, 3]), np.float32([2, 1, np.nan, 3])
    expected = [2, np.nan, np.nan, 3]
    np.testing.assert_array_equal(functional.binary(lhs, rhs, "maximum"), np.float32(expected))
    expected[0] = 1
    np.testing.assert_array_equal(functional.binary(lhs, rhs, "minimum"), np.float32(expected))


def test_int64_wraps_around() -> None:
    largest = np.array([2**63 - 1], np.int64)
    assert functional.binary(largest, np.array([1], np.int64), "add") == [-(2**63)]


def test_casts() -> None:
    x = np.float32([1.9, -1.9, np.nan, np.inf, -np.inf, 1e30, 2.0**62, 0, -0.0])
    assert functional.cast(x, np.dtype(np.int64)).tolist() == [
        *(1, -1, 0, 2**63 - 1, -(2**63), 2**63 - 1, 2**62, 0, 0)
    ]
    assert functional.cast(x, np.dtype(np.bool_)).tolist() == [True] * 7 + [False] * 2
    large = np.array([2**24 + 1, -3], np.int64)
    assert functional.cast(large, np.dtype(np.float32)).tolist() == [2.0**24, -3]


@pytest.mark.parametrize("function", ["sum", "mean", "maximum", "minimum"])
@pytest.mark.parametrize("axes", [(2,), (0,), (0, 2), (0, 1, 2)])
def test_reductions(function: str, axes: tuple[int, ...]) -> None:
    x = RNG.normal(size=(3, 5, 37)).astype(np.float32)
    exact = getattr(np, {"maximum": "max", "minimum": "min"}.get(function, function))
    found = functional.reduce(x, function, axes, keep_dims=True)
    np.testing.assert_allclose(
        found, exact(x.astype(np.float64), axes, keepdims=True), rtol=1e-5, atol=1e-6
    )


def test_the_sum_goes_through_sixteen_partial_sums() -> None:
    x = np.zeros((1, 34), np.float32)
    x[0, [0, 16, 8, 32]] = [1, 2.0**24, -(2.0**24), 1]
    # Lane 0 holds 1 + 2^24 = 2^24, then 2^24 + 1 = 2^24; lane 8 takes 2^24 away.
    assert functional.reduce(x, "sum", (1,), keep_dims=False).tolist() == [0]
    x[0, [32, 33]] = x[0, [33, 32]]  # 1 now stands in lane 1
    assert functional.reduce(x, "sum", (1,), keep_dims=False).tolist() == [1]


def test_argmax_gives_the_first_place() -> None:
    x = np.float32([[1, 3, 3], [np.nan, 9, np.nan], [-1, -2, -1]])
    assert functional.reduce(x, "argmax", (1,), keep_dims=False).tolist() == [1, 0, 0]


def test_softmax_and_layer_norm_are_those_of_torch() -> None:
    x = RNG.normal(0, 4, (4, 7, 50)).astype(np.float32)
    wide = torch.from_numpy(x).double()
    for axis in range(3):
        found = functional.softmax(x, axis)
        np.testing.assert_allclose(found, torch.softmax(wide, axis).numpy(), rtol=4e-6)
    weight, bias = (RNG.normal(size=50).astype(np.float32) for _ in range(2))
    exact = F.layer_norm(wide, [50], torch.from_numpy(weight).double(), None, 0.125).numpy()
    found = functional.layer_norm(x, 0.125, weight, None)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        functional.layer_norm(x, 0.125, weight, bias), exact + bias, rtol=1e-5, atol=1e-6
    )


def test_a_fully_masked_row_of_softmax_is_nan() -> None:
    x = np.float32([[-np.inf, -np.inf], [-np.inf, 0]])
    np.testing.assert_array_equal(functional.softmax(x, 1), np.float32([[np.nan] * 2, [0, 1]]))


def test_matmul_broadcasts() -> None:
    lhs = RNG.normal(size=(2, 1, 5, 9)).astype(np.float32)
    rhs = RNG.normal(size=(3, 7, 9)).astype(np.float32)
    found = functional.matmul(lhs, rhs, transpose_rhs=True)
    exact = lhs.astype(np.float64) @ rhs.astype(np.float64).swapaxes(1, 2)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)


def test_row_parameters_include_zero() -> None:
    x = np.float32([[1, 2, 4], [-3, -1, -2], [0, 0, 0], [-1, 0.5, np.nan]])
    scale, zero_point = functional.row_qparams(x)
    np.testing.assert_array_equal(scale, np.float32([4, 3, 255, 1.5]) / np.float32(255))
    assert zero_point.tolist() == [0, 255, 0, 170]


def test_dynamic_linear_is_near_the_float_product() -> None:
    x = RNG.normal(size=(2, 6, 64)).astype(np.float32)
    weight = RNG.integers(-127, 128, (10, 64), np.int8)
    scale, bias = np.full(10, 2.0**-8, np.float32), RNG.normal(size=10).astype(np.float32)
    exact = x.astype(np.float64) @ (weight.T * 2.0**-8) + bias
    found = functional.dynamic_linear(x, weight, scale, bias)
    assert np.abs(found - exact).max() < 0.02 * np.abs(exact).max()


def test_indices_outside_are_clamped() -> None:
    table, scales = np.array([[1, 2], [3, 4]], np.int8), np.float32([0.5, 2])
    found = functional.embed(np.array([[-5, 1, 9]], np.int64), table, scales)
    assert found.tolist() == [[[0.5, 1], [6, 8], [6, 8]]]
