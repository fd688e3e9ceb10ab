from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.errors import CalibrationError
from smidgen.qparams import (
    QParams,
    check_weights,
    has_scale,
    qparams_from_range,
    symmetric_weight_scales,
)

ends = st.floats(-1e6, 1e6, width=32).filter(lambda end: end == 0.0 or abs(end) > 1e-12)


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
        (0.0, 255 * 2.0**60, QParams(2.0**60, 0)),
        (0.0, 255 * 2.0**-60, QParams(2.0**-60, 0)),
    ],
)
def test_known_ranges(low: float, high: float, expected: QParams) -> None:
    found = qparams_from_range(low, high)
    assert found.scale == pytest.approx(expected.scale)
    assert found.zero_point == expected.zero_point


@pytest.mark.parametrize(
    ("low", "high"), [(-3.4e38, 3.4e38), (0.0, 3e20), (-1e30, 0.0), (0.0, 2e-16), (0.0, 1e-40)]
)
def test_ranges_beyond_all_scales_are_refused_and_not_clamped(low: float, high: float) -> None:
    with pytest.raises(CalibrationError, match=r"expected a width .*2\^-60") as refused:
        qparams_from_range(low, high)
    assert refused.value.reason == "RANGE_NOT_REPRESENTABLE"


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(0.0, 1.0))
def test_every_finite_range_is_covered_or_refused(end: float, share: float) -> None:
    low, high = min(end, -end * share), max(end, -end * share)
    assert has_scale(low, high) == (
        low == high == 0.0 or 2.0**-60 <= np.float32((high - low) / 255) <= 2.0**60
    )
    if not has_scale(low, high):
        with pytest.raises(CalibrationError):
            qparams_from_range(low, high)
        return
    found = qparams_from_range(low, high)
    assert found.scale * (0 - found.zero_point) <= low + found.scale * 0.51
    assert found.scale * (255 - found.zero_point) >= high - found.scale * 0.51


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


def test_weights_beyond_all_scales_are_refused_and_not_clamped() -> None:
    with pytest.raises(CalibrationError, match=r"weights reach 1e\+30, expected") as refused:
        check_weights(np.array([[1.0], [1e30]], np.float32))
    assert refused.value.reason == "WEIGHT_NOT_REPRESENTABLE"
    check_weights(np.array([[1.0], [127 * 2.0**60]], np.float32))
    with pytest.raises(CalibrationError, match="at most"):
        check_weights(np.array([[127 * 2.0**60]], np.float32), largest=126)
