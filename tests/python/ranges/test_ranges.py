"""Ranges chosen from histograms, compared with the values themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from smidgen.activation_range import ActivationRange
from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.histogram import count_values
from smidgen.ranges import CHOICES, choose_range
from smidgen.ranges.candidates import high_candidates, low_candidates
from smidgen.ranges.entropy import divergences
from smidgen.ranges.percentile import percentile_range
from smidgen.ranges.squared_error import squared_errors
from smidgen.statistics import ActivationStatistics

Values = NDArray[np.float32]


def found_in(values: Values, capacity: int = 2048) -> ActivationStatistics:
    low, high = float(values.min()) + 0.0, float(values.max()) + 0.0
    return ActivationStatistics(low, high, count_values(values, low, high, capacity))


def normal(count: int = 200_000) -> Values:
    return np.random.default_rng(0).normal(size=count).astype(np.float32)


def heavy(count: int = 100_000) -> Values:
    return np.random.default_rng(1).standard_t(3, size=count).astype(np.float32)


SAMPLES = {
    "normal": normal(),
    "relu": np.maximum(normal(), 0),
    "negative": -np.abs(normal()),
    "heavy": heavy(),
    "positive": np.abs(heavy()) + np.float32(0.5),
}


def test_every_method_but_the_moving_average_chooses() -> None:
    assert set(CHOICES) == set(ObserverMethod) - {ObserverMethod.MOVING_AVERAGE}


def test_min_max_is_exact() -> None:
    values = heavy()
    found = choose_range(found_in(values), CalibrationConfig())
    assert found == ActivationRange(float(values.min()), float(values.max()))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=60),
    st.floats(50.01, 100).map(lambda p: round(p, 2)),
)
def test_percentile_clips_no_more_than_it_may(values: list[float], percentile: float) -> None:
    array = np.array(values, np.float32)
    statistics = found_in(array)
    found = percentile_range(statistics, percentile)
    most = len(values) * (100 - percentile) / 100 + 1e-9
    assert (array < found.low).sum() <= most
    assert (array > found.high).sum() <= most
    # One cell less on either side would clip too much.
    width = statistics.histogram.width
    if found.low > statistics.low:
        assert (array.astype(np.float64) < found.low + width).sum() > most
    if found.high < statistics.high:
        assert (array.astype(np.float64) >= found.high - width).sum() > most


@pytest.mark.parametrize("kind", SAMPLES)
def test_percentile_is_that_of_the_values(kind: str) -> None:
    values, statistics = SAMPLES[kind], found_in(SAMPLES[kind])
    found = percentile_range(statistics, 99.9)
    low, high = np.quantile(values.astype(np.float64), [0.001, 0.999])
    assert found.low == pytest.approx(low, abs=1.01 * statistics.histogram.width)
    assert found.high == pytest.approx(high, abs=1.01 * statistics.histogram.width)


def test_whole_percentile_clips_nothing() -> None:
    values = heavy()
    found = percentile_range(found_in(values), 100.0)
    assert found == ActivationRange(float(values.min()), float(values.max()))


def quantization_error(values: Values, low: float, high: float) -> float:
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero_point = round(-low / scale)
    wide = values.astype(np.float64)
    levels = np.clip(np.rint(wide / scale) + zero_point, 0, 255)
    return float(((scale * (levels - zero_point) - wide) ** 2).mean())


@pytest.mark.parametrize("kind", SAMPLES)
def test_squared_error_is_near_the_best_of_all_ranges(kind: str) -> None:
    values, statistics = SAMPLES[kind], found_in(SAMPLES[kind])
    config = CalibrationConfig(method=ObserverMethod.SQUARED_ERROR)
    found = choose_range(statistics, config)
    error = quantization_error(values, found.low, found.high)
    shares = np.linspace(0.05, 1.0, 20)
    best = min(
        quantization_error(values, low * statistics.low, high * statistics.high)
        for low in (shares if statistics.low < 0 else [1.0])
        for high in (shares if statistics.high > 0 else [1.0])
    )
    assert error <= 1.03 * best
    assert error <= quantization_error(values, statistics.low, statistics.high)


@pytest.mark.parametrize("kind", SAMPLES)
def test_estimated_errors_are_those_of_quantization(kind: str) -> None:
    values, statistics = SAMPLES[kind], found_in(SAMPLES[kind])
    for share in (1.0, 0.6, 0.3):
        low, high = share * statistics.low, share * statistics.high
        estimate = squared_errors(statistics, np.array([low]), np.array([high]))[0] / values.size
        assert estimate == pytest.approx(quantization_error(values, low, high), rel=0.05)


def divergence_by_hand(found: ActivationStatistics, low: float, high: float) -> float:
    histogram, edges = found.histogram, found.histogram.edges
    low, high = min(low, 0.0), max(high, 0.0)
    counts = [0 if edges[i] == 0 else int(count) for i, count in enumerate(histogram.counts)]
    inside = [i for i in range(len(counts)) if edges[i + 1] > low and edges[i] < high]
    clipped = {i: counts[i] for i in inside}
    clipped[inside[0]] += sum(counts[: inside[0]])
    clipped[inside[-1]] += sum(counts[inside[-1] + 1 :])
    step = (high - low) / 255
    levels = {
        i: min(max(round((edges[i] + histogram.width / 2 - low) / step), 0), 255) for i in inside
    }
    total, kept = sum(clipped.values()), sum(counts[i] for i in inside)
    divergence = 0.0
    for i in inside:
        if clipped[i]:
            same = [j for j in inside if levels[j] == levels[i]]
            filled = sum(1 for j in same if clipped[j])
            mean = sum(counts[j] for j in same) / filled
            other = max(mean / kept, 0.5 / total)
            divergence += clipped[i] / total * math.log(clipped[i] / total / other)
    return divergence


@pytest.mark.parametrize("kind", SAMPLES)
def test_divergences_are_those_of_the_definition(kind: str) -> None:
    statistics = found_in(SAMPLES[kind][:2000], 512)
    lows, highs = low_candidates(statistics, 5)[:4], high_candidates(statistics, 5)[:4]
    for low in lows:
        found = divergences(statistics, np.full_like(highs, low), highs)
        expected = [divergence_by_hand(statistics, low, high) for high in highs]
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("kind", SAMPLES)
def test_entropy_clips_tails_alone(kind: str) -> None:
    values, statistics = SAMPLES[kind], found_in(SAMPLES[kind])
    found = choose_range(statistics, CalibrationConfig(method=ObserverMethod.ENTROPY))
    assert statistics.low <= found.low <= found.high <= statistics.high
    assert ((values < found.low) | (values > found.high)).mean() < 0.02
    divergence = divergences(statistics, np.array([found.low]), np.array([found.high]))
    whole = divergences(statistics, np.array([statistics.low]), np.array([statistics.high]))
    assert divergence[0] <= whole[0]


def test_an_outlier_is_clipped_by_all_but_min_max() -> None:
    values = np.append(normal(), np.float32(1000.0))
    for method, most in ((ObserverMethod.PERCENTILE, 5), (ObserverMethod.ENTROPY, 300)):
        assert choose_range(found_in(values), CalibrationConfig(method=method)).high < most
    # A clipped value costs its squared distance: one of 1000 in 200,001 is worth its steps.
    config = CalibrationConfig(method=ObserverMethod.SQUARED_ERROR)
    assert 500 < choose_range(found_in(values), config).high < 1000


@pytest.mark.parametrize("method", list(CHOICES))
@pytest.mark.parametrize(
    "values",
    [
        [0.0],
        [3.0],
        [-3.0],
        [0.0, 1e-38],
        [-3e38, 3e38],
        [1e-45],
        [-1.0, 2.0],
        [2.0**120, -(2.0**-120)],
    ],
    ids=str,
)
def test_extreme_data_have_a_range(values: list[float], method: ObserverMethod) -> None:
    statistics = found_in(np.array(values, np.float32))
    percentile = 60.0 if method is ObserverMethod.PERCENTILE else 99.99
    with np.errstate(all="raise", under="ignore"):
        found = choose_range(statistics, CalibrationConfig(method=method, percentile=percentile))
    assert statistics.low <= found.low <= found.high <= statistics.high
    largest = max(map(abs, values))
    assert found.has_scale == (largest == 0.0 or 1e-15 < largest < 1e20)
    if found.has_scale:
        assert found.qparams.scale > 0


@pytest.mark.parametrize("values", [[-2.0, 1.0, 5.0], [1.0, 5.0], [-5.0, -1.0], [0.0]])
def test_candidates_go_from_the_ends_to_zero(values: list[float]) -> None:
    statistics = found_in(np.array(values, np.float32))
    low, high = low_candidates(statistics, 16), high_candidates(statistics, 16)
    assert low[0] == statistics.low
    assert high[0] == statistics.high
    assert (np.diff(low) > 0).all()
    assert (np.diff(high) < 0).all()
    assert len(low) <= 16
    assert len(high) <= 16
    assert low[-1] == (0.0 if min(values) < 0 < max(values) else low[-1])
