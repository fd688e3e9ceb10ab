from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen import functional
from tests.reference import oracle

scales = st.floats(2.0**-12, 2.0**6, width=32)
zero_points = st.integers(0, 255)
bytes_ = st.integers(0, 255)


@given(st.floats(-1e4, 1e4, width=32), scales, zero_points)
def test_quantize_equals_oracle(value: float, scale: float, zero_point: int) -> None:
    if 0 < abs(value) / scale < 2.0**-120:
        return  # the oracle knows normal float32 values only
    found = functional.quantize(np.array([value], np.float32), scale, zero_point)
    assert found.tolist() == [oracle.quantize(value, scale, zero_point)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.nan, 0),
        (np.inf, 255),
        (-np.inf, 0),
        (0.5, 10),
        (1.5, 12),
        (2.5, 12),
        (-0.5, 10),
        (3e38, 255),
        (1e-45, 10),
        (-0.0, 10),
    ],
)
def test_quantize_of_special_values(value: float, expected: int) -> None:
    assert functional.quantize(np.array([value], np.float32), 1.0, 10).tolist() == [expected]


def test_overflowing_sums_and_products_are_clamped_without_a_warning() -> None:
    x = np.full((1, 1, 2, 2), 255, np.uint8)
    huge = np.float32(2.0**120)
    ends = {"zero_point": 3, "qmin": 0, "qmax": 250}
    total = functional.add(
        x, x, lhs_zero_point=0, lhs_multiplier=huge, rhs_zero_point=0, rhs_multiplier=huge, **ends
    )
    mean = functional.average_pool(
        x,
        x_zero_point=0,
        multiplier=huge,
        kernel=(2, 2),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        count_include_pad=True,
        **ends,
    )
    acc = np.array([[2**30, -(2**30)]], np.int32)
    scaled = functional.requantize(acc, np.full(2, 3e38, np.float32), **ends)
    assert total.tolist() == [[[[250, 250], [250, 250]]]]
    assert mean.tolist() == [[[[250]]]]
    assert scaled.tolist() == [[250, 0]]


@given(bytes_, scales, zero_points)
def test_dequantize_equals_oracle(value: int, scale: float, zero_point: int) -> None:
    found = functional.dequantize(np.array([value], np.uint8), scale, zero_point)
    assert Fraction(float(found[0])) == oracle.dequantize(value, scale, zero_point)


@given(bytes_, scales, zero_points)
def test_quantize_undoes_dequantize(value: int, scale: float, zero_point: int) -> None:
    q = np.array([value], np.uint8)
    real = functional.dequantize(q, scale, zero_point)
    assert functional.quantize(real, scale, zero_point).tolist() == [value]


@given(
    st.integers(-(2**31) + 1, 2**31 - 1),
    st.tuples(scales, scales, scales),
    zero_points,
    st.tuples(bytes_, bytes_).map(sorted),
)
def test_requantize_equals_oracle(
    acc: int, factors: tuple[float, float, float], zero_point: int, clamp: list[int]
) -> None:
    source, weight, target = factors
    m = functional.requantize_multipliers(source, np.array([weight], np.float32), target)
    assert Fraction(float(m[0])) == oracle.multiplier(source, weight, target)
    found = functional.requantize(np.array([[acc]], np.int32), m, zero_point, *clamp)
    expected = oracle.requantize(acc, Fraction(float(m[0])), zero_point, *clamp)
    assert found.tolist() == [[expected]]


def test_requantize_rounds_float_of_large_accumulators() -> None:
    # 2**24 + 1 is no float32; the definition rounds it to 2**24 before the multiplication.
    found = functional.requantize(
        np.array([[2**24 + 1]], np.int32), np.array([2.0**-18], np.float32), 0, 0, 255
    )
    assert found.tolist() == [[64]]


@given(bytes_, bytes_, st.tuples(scales, scales), st.tuples(zero_points, zero_points, zero_points))
def test_add_equals_oracle(
    lhs: int, rhs: int, ratios: tuple[float, float], zeros: tuple[int, int, int]
) -> None:
    found = functional.add(
        np.array([lhs], np.uint8),
        np.array([rhs], np.uint8),
        lhs_zero_point=zeros[0],
        lhs_multiplier=np.float32(ratios[0]),
        rhs_zero_point=zeros[1],
        rhs_multiplier=np.float32(ratios[1]),
        zero_point=zeros[2],
        qmin=0,
        qmax=255,
    )
    exact = (Fraction(ratios[0]), Fraction(ratios[1]))
    assert found.tolist() == [oracle.add(lhs, rhs, exact, zeros)]


@given(
    bytes_,
    bytes_,
    st.tuples(scales, scales, scales),
    st.tuples(zero_points, zero_points, zero_points),
)
def test_multiply_equals_oracle(
    lhs: int, rhs: int, factors: tuple[float, float, float], zeros: tuple[int, int, int]
) -> None:
    m = functional.product_multiplier(*factors)
    assert Fraction(float(m)) == oracle.multiplier(*factors)
    found = functional.multiply(
        np.array([lhs], np.uint8),
        np.array([rhs], np.uint8),
        lhs_zero_point=zeros[0],
        rhs_zero_point=zeros[1],
        multiplier=m,
        zero_point=zeros[2],
        qmin=0,
        qmax=255,
    )
    acc = (lhs - zeros[0]) * (rhs - zeros[1])
    assert found.tolist() == [oracle.requantize(acc, Fraction(float(m)), zeros[2], 0, 255)]


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, object]:
    groups = draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    channels, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    extents = [dilation[i] * (kernel[i] - 1) + draw(st.integers(1, 4)) for i in range(2)]
    return {
        "x": rng.integers(0, 256, (draw(st.integers(1, 2)), channels, *extents), np.uint8),
        "zero_point": draw(zero_points),
        "weight": rng.integers(-127, 128, (outputs, channels // groups, *kernel), np.int8),
        "bias": rng.integers(-1000, 1000, outputs, np.int32),
        "stride": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "padding": tuple(draw(st.integers(0, 2)) for _ in range(4)),
        "dilation": dilation,
        "groups": groups,
    }


@given(convolutions())
@settings(max_examples=40, deadline=None)
def test_convolve_equals_oracle(case: dict) -> None:
    found = functional.convolve(
        case["x"],
        case["zero_point"],
        case["weight"],
        case["bias"],
        stride=case["stride"],
        padding=case["padding"],
        dilation=case["dilation"],
        groups=case["groups"],
    )
    assert found.tolist() == oracle.convolve(**case).tolist()


@given(st.integers(0, 2**32), zero_points)
def test_multiply_accumulate_equals_a_1x1_convolution(seed: int, zero_point: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (3, 7), np.uint8)
    weight = rng.integers(-127, 128, (5, 7), np.int8)
    bias = rng.integers(-1000, 1000, 5, np.int32)
    expected = oracle.convolve(
        x[..., None, None], zero_point, weight[..., None, None], bias, (1, 1), (0,) * 4, (1, 1), 1
    )
    found = functional.multiply_accumulate(x, zero_point, weight, bias)
    assert found.tolist() == expected[..., 0, 0].tolist()


@given(st.integers(0, 2**32), st.booleans(), scales, zero_points, zero_points)
@settings(max_examples=40, deadline=None)
def test_average_pool_equals_oracle(
    seed: int, count_include_pad: bool, ratio: float, source_zero: int, zero_point: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (1, 2, 5, 4), np.uint8)
    geometry = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1, 0, 1)}
    found = functional.average_pool(
        x,
        x_zero_point=source_zero,
        multiplier=np.float32(ratio),
        count_include_pad=count_include_pad,
        zero_point=zero_point,
        qmin=0,
        qmax=255,
        **geometry,
    )
    for index, values in oracle.pool_windows(x, **geometry):
        count = 6 if count_include_pad else len(values)
        expected = oracle.average(values, source_zero, Fraction(ratio), count, zero_point)
        assert found[index] == expected


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_max_pool_equals_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (1, 2, 5, 4), np.uint8)
    geometry = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1, 0, 1)}
    found = functional.max_pool(x, dilation=(1, 1), **geometry)
    for index, values in oracle.pool_windows(x, **geometry):
        assert found[index] == max(values)


def test_max_pool_with_dilation_takes_every_other_value() -> None:
    x = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4)
    found = functional.max_pool(
        x, kernel=(2, 2), stride=(1, 1), padding=(0, 0, 0, 0), dilation=(2, 2)
    )
    assert found.tolist() == [[[[10, 11], [14, 15]]]]


def test_lookup_and_concatenate() -> None:
    table = np.arange(255, -1, -1, dtype=np.uint8)
    x = np.array([[0, 1, 255]], np.uint8)
    assert functional.lookup(x, table).tolist() == [[255, 254, 0]]
    assert functional.concatenate([x, x[:, :1]], axis=1).tolist() == [[0, 1, 255, 0]]


def test_quantize_bias_saturates_inside_int32() -> None:
    bias = np.array([1.0, -1e30, 1e30], np.float32)
    scales_ = np.array([0.5, 0.5, 0.5], np.float32)
    found = functional.quantize_bias(bias, 0.25, scales_)
    assert found.tolist() == [8, -(2**31) + 1, 2**31 - 1]


@given(st.floats(-300, 300, width=32), st.floats(2.0**-6, 4.0, width=32))
def test_quantize_weight_is_symmetric_and_close(weight: float, scale: float) -> None:
    pair = np.array([[weight], [-weight]], np.float32)
    found = functional.quantize_weight(pair, np.full(2, scale, np.float32)).astype(int)
    assert found[0, 0] == -found[1, 0]
    if abs(weight) <= 127 * scale:
        assert abs(found[0, 0] * scale - weight) <= scale / 2 * (1 + 1e-6)
    else:
        assert abs(found[0, 0]) == 127
