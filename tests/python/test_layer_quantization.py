"""Weights and biases of one layer, and the tables of functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from smidgen import unary_functions
from smidgen.errors import CalibrationError, UnsupportedOperatorError
from smidgen.layer_quantization import quantize_layer
from smidgen.lookup_tables import function_table, requantizing_table
from smidgen.qparams import QParams, qparams_from_range, symmetric_weight_scales
from smidgen.weight_grid import LARGEST_BIAS

SOURCE = QParams(scale=0.5, zero_point=10)
floats = st.floats(-100, 100, width=32)
ends = floats.filter(lambda end: end == 0.0 or abs(end) > 1e-12)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (3, 4), elements=floats), hnp.arrays(np.float32, 3, elements=floats))
def test_bias_always_fits(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    layer = quantize_layer(weight, bias, SOURCE, node="v0")
    assert (layer.weight_scale >= symmetric_weight_scales(weight)).all()
    real = layer.bias * (SOURCE.scale * layer.weight_scale.astype(np.float64))
    step = SOURCE.scale * layer.weight_scale.astype(np.float64)
    assert (np.abs(real - bias) <= step / 2 * 1.0001 + 1e-30).all()


def test_channel_without_weights_keeps_its_bias() -> None:
    weight = np.array([[1e-12, -1e-12], [1.0, 0.5]], np.float32)
    layer = quantize_layer(weight, np.array([0.7, 0.7], np.float32), SOURCE, node="v0")
    real = layer.bias * (SOURCE.scale * layer.weight_scale.astype(np.float64))
    assert real == pytest.approx([0.7, 0.7], rel=1e-2)
    assert abs(layer.bias[0]) <= LARGEST_BIAS * 1.001
    assert layer.weight_scale[1] == np.float32(1.0 / 127)


def test_a_bias_that_no_scale_of_weights_has_room_for_is_refused_and_not_saturated() -> None:
    source = QParams(scale=2.0**-60, zero_point=0)
    weight = np.ones((2, 3), np.float32)
    with pytest.raises(CalibrationError, match=r"reaches 1e\+10, .* keep the layer") as caught:
        quantize_layer(weight, np.array([1.0, 1e10], np.float32), source, node="v0")
    assert caught.value.reason == "BIAS_NOT_REPRESENTABLE"
    fitting = quantize_layer(weight, np.array([1.0, 1e9], np.float32), source, node="v0")
    assert fitting.bias[1] * 2.0**-60 * fitting.weight_scale[1] == pytest.approx(1e9)


def test_no_bias_is_zero() -> None:
    layer = quantize_layer(np.ones((2, 3), np.float32), None, SOURCE, node="v0")
    assert layer.bias.tolist() == [0, 0]
    assert layer.weight.tolist() == [[127] * 3] * 2


def test_sum_that_could_overflow_is_refused() -> None:
    weight = np.ones((1, 70_000), np.float32)
    with pytest.raises(UnsupportedOperatorError, match=r"v7 can reach .* in float") as caught:
        quantize_layer(weight, None, SOURCE, node="v7")
    assert caught.value.reason == "ACCUMULATOR_OVERFLOW"


@settings(max_examples=60, deadline=None)
@given(st.tuples(ends, ends), st.tuples(ends, ends))
def test_requantizing_keeps_order(source: tuple[float, float], target: tuple[float, float]) -> None:
    table = requantizing_table(
        qparams_from_range(min(source), max(source)), qparams_from_range(min(target), max(target))
    )
    assert (np.diff(table.astype(np.int32)) >= 0).all()


def test_requantizing_to_itself_is_the_identity() -> None:
    assert requantizing_table(SOURCE, SOURCE).tolist() == list(range(256))


def test_table_by_hand() -> None:
    table = function_table(lambda x: x * x, QParams(1.0, 2), QParams(2.0, 1))
    assert table[:5].tolist() == [3, 1, 1, 1, 3]  # squares 4, 1, 0, 1, 4; halves round to even


@pytest.mark.parametrize("x", [-1e6, -30.0, -3.0, -0.5, 0.0, 0.5, 3.0, 30.0, 1e6])
def test_functions_do_not_overflow(x: float) -> None:
    assert unary_functions.sigmoid(x) + unary_functions.sigmoid(-x) == pytest.approx(1.0)
    assert unary_functions.silu(x) == x * unary_functions.sigmoid(x)
    assert unary_functions.gelu(x) == pytest.approx(
        x * 0.5 * math.erfc(-x / math.sqrt(2)), abs=1e-9
    )
    assert unary_functions.gelu_tanh(x) == pytest.approx(unary_functions.gelu(x), abs=1e-3)
    assert unary_functions.hardswish(x) == x * unary_functions.hardsigmoid(x)
    assert unary_functions.elu(x, 2.0) == (x if x > 0 else pytest.approx(2 * (math.exp(x) - 1)))
    assert unary_functions.leaky_relu(x, 0.1) == max(x, 0.1 * x)
