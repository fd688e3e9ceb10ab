from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import CalibrationError
from smidgen.qparams import QParams, qparams_from_range, symmetric_weight_scales

ends = st.floats(-1e6, 1e6, width=32)


@given(ends, ends)
def test_range_is_covered_and_zero_is_exact(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    qparams = qparams_from_range(low, high)
    assert 0 <= qparams.zero_point <= 255
    slack = qparams.scale * 0.51
    assert qparams.scale * (0 - qparams.zero_point) <= min(low, 0) + slack
    assert qparams.scale * (255 - qparams.zero_point) >= max(high, 0) - slack


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 255.0, QParams(1.0, 0)),
        (-1.0, 0.0, QParams(float(np.float32(1 / 255)), 255)),
        (2.0, 51.0, QParams(float(np.float32(0.2)), 0)),
        (0.0, 0.0, QParams(1.0, 0)),
        (-3.4e38, 3.4e38, QParams(2.0**60, 128)),
        (0.0, 1e-40, QParams(2.0**-60, 0)),
    ],
)
def test_known_ranges(low: float, high: float, expected: QParams) -> None:
    found = qparams_from_range(low, high)
    assert found.scale == pytest.approx(expected.scale)
    if abs(low) < 1e38:
        assert found.zero_point == expected.zero_point


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1.0), (0.0, math.inf), (1.0, -1.0)])
def test_bad_ranges_are_refused(low: float, high: float) -> None:
    with pytest.raises(CalibrationError, match="expected finite ends in order"):
        qparams_from_range(low, high)


@pytest.mark.parametrize(("scale", "zero_point"), [(0.0, 0), (math.nan, 0), (1.0, 256), (0.1, 0)])
def test_bad_qparams_are_refused(scale: float, zero_point: int) -> None:
    with pytest.raises(CalibrationError):
        QParams(scale, zero_point)


def test_weight_scales_are_per_channel() -> None:
    weight = np.array([[[1.27, -2.54]], [[0.0, 0.0]], [[-0.5, 0.1]]], np.float32)
    expected = np.array([2.54 / 127, 1.0, 0.5 / 127], np.float32)
    np.testing.assert_allclose(symmetric_weight_scales(weight), expected, rtol=1e-6)
