"""The grids of int8 and int4 weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from smidgen.config import LayerPrecision, WeightBits
from smidgen.functional import quantize_weight
from smidgen.qparams import LARGEST_SCALE, symmetric_weight_scales
from smidgen.weight_grid import weight_grid

INT8 = LayerPrecision()
PER_CHANNEL = LayerPrecision(WeightBits.INT4, 0)
GROUPS = LayerPrecision(WeightBits.INT4, 32)
rows = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 80)),
    elements=st.floats(-50, 50, width=32),
)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_int8_is_symmetric_per_channel(weight: NDArray[np.float32]) -> None:
    grid = weight_grid(weight, None, 0.5, INT8)
    scales = symmetric_weight_scales(weight)
    assert grid.scale.tobytes() == scales.tobytes()
    assert grid.quantize(weight).tobytes() == quantize_weight(weight, scales).tobytes()


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from([PER_CHANNEL, GROUPS]))
def test_int4_is_a_multiple_of_seven_steps(
    weight: NDArray[np.float32], precision: LayerPrecision
) -> None:
    grid = weight_grid(weight, None, 0.5, precision)
    quantized = grid.quantize(weight).astype(np.int64)
    multiplier = grid.spread_multiplier(weight.shape[1]).astype(np.int64)
    assert 1 <= grid.multiplier.min() <= grid.multiplier.max() <= 18
    assert (quantized % multiplier == 0).all()
    assert (np.abs(quantized // multiplier) <= 7).all()


def squared_error(weight: NDArray[np.float64], multiplier: int) -> float:
    """Returns the error of one group of whole numbers at a multiplier."""
    nearest = multiplier * np.clip(np.rint(weight / multiplier), -7, 7)
    return float(np.square(weight - nearest).sum())


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int64, st.integers(33, 80), elements=st.integers(-126, 126)))
def test_multipliers_have_the_least_squared_error(levels: NDArray[np.int64]) -> None:
    levels[0] = 126  # so that the finest grid is that of whole numbers
    grid = weight_grid(levels[None].astype(np.float32), None, None, GROUPS)
    assert grid.scale.tolist() == [1.0]
    for group, multiplier in enumerate(grid.multiplier[0].tolist()):
        part = levels[32 * group : 32 * (group + 1)].astype(np.float64)
        errors = [squared_error(part, candidate) for candidate in range(1, 19)]
        assert multiplier == 1 + errors.index(min(errors))


def test_one_outlier_of_many_is_clipped() -> None:
    weight = np.full((1, 128), 0.45, np.float32)
    weight[0, 0] = 0.7  # at sevenths of which 0.45 lies between two steps
    grid = weight_grid(weight, None, None, PER_CHANNEL)
    assert 7 * grid.scale[0] < 0.65
    real = grid.quantize(weight) * grid.scale[0]
    assert np.abs(real[0, 1:] - 0.45).max() < 0.01


def test_groups_of_a_channel_have_steps_of_their_own() -> None:
    weight = np.concatenate([np.linspace(-1, 1, 128), np.linspace(-0.125, 0.125, 64)])
    grid = weight_grid(weight[None].astype(np.float32), None, None, LayerPrecision(WeightBits.INT4))
    assert grid.multiplier.shape == (1, 2)
    assert grid.multiplier[0, 0] > 5 * grid.multiplier[0, 1]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(0).standard_normal((9, 70)).astype(np.float32)
    whole = weight_grid(weight, None, None, GROUPS)
    monkeypatch.setattr("smidgen.weight_grid._COUNTED_AT_A_TIME", 1)
    parts = weight_grid(weight, None, None, GROUPS)
    assert whole.multiplier.tobytes() == parts.multiplier.tobytes()


@pytest.mark.parametrize("precision", [INT8, PER_CHANNEL, GROUPS], ids=["int8", "channel", "group"])
def test_a_channel_of_zeros_has_scale_one(precision: LayerPrecision) -> None:
    grid = weight_grid(np.zeros((1, 40), np.float32), None, None, precision)
    assert grid.scale.tolist() == [1.0]
    assert set(grid.multiplier.ravel().tolist()) == {1}
    assert grid.quantize(np.zeros((1, 40), np.float32)).tolist() == [[0] * 40]


@pytest.mark.parametrize("precision", [INT8, PER_CHANNEL, GROUPS], ids=["int8", "channel", "group"])
def test_scales_leave_room_for_the_bias(precision: LayerPrecision) -> None:
    weight = np.full((1, 40), 1e-12, np.float32)
    grid = weight_grid(weight, np.array([0.7], np.float32), 0.5, precision)
    assert 0.7 / (0.5 * grid.scale[0]) <= 2.0**30 * 1.001


@pytest.mark.parametrize("precision", [INT8, PER_CHANNEL, GROUPS], ids=["int8", "channel", "group"])
def test_extreme_weights_have_a_scale_within_bounds(precision: LayerPrecision) -> None:
    weight = np.array([[3e38, -3e38, 1e-38], [np.nan, np.inf, 1.0]], np.float32)
    with np.errstate(invalid="ignore"):
        grid = weight_grid(weight, None, 0.5, precision)
    assert grid.scale[0] == np.float32(LARGEST_SCALE)
    assert grid.multiplier.shape == (2, 1)
