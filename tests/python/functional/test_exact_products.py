"""Sums of products by BLAS, against integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen import functional
from smidgen.functional.exact_products import BYTE_PRODUCT, exact_dtype, exact_product
from tests.reference import oracle

zero_points = st.integers(0, 255)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize(
    ("terms", "largest", "expected"),
    [
        (514, BYTE_PRODUCT, np.float32),
        (515, BYTE_PRODUCT, np.float64),
        (2**24 - 1, 1, np.float32),
        (2**24, 1, np.float64),
        (2**53 - 1, 1, np.float64),
        (2**53, 1, np.int64),
        (2**40, BYTE_PRODUCT, np.int64),
    ],
)
def test_the_type_holds_every_sum(terms: int, largest: int, expected: type) -> None:
    assert exact_dtype(terms, largest) == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_flag_that_blas_sets_without_cause_is_no_warning(dtype: type) -> None:
    # Warnings are errors here. Infinities set the flag for certain, lanes of old memory by chance.
    opposite = np.array([[np.inf, -np.inf]], dtype)
    assert np.isnan(exact_product(opposite, np.ones((2, 1), dtype))).all()
    assert exact_product(np.array([[3, 4]], dtype), np.array([[5], [6]], dtype)).tolist() == [[39]]


@given(seeds, st.integers(1, 3), st.sampled_from([1, 2, 57, 58, 200]), zero_points, st.booleans())
@settings(max_examples=40, deadline=None)
def test_convolutions_of_many_terms_equal_the_oracle(
    seed: int, groups: int, channels: int, zero_point: int, is_extreme: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (2, groups * channels, 4, 3), np.uint8)
    weight = rng.integers(-127, 128, (groups * 2, channels, 3, 3), np.int8)
    if is_extreme:  # odd sums of the largest products, which a rounding would change
        x, weight = np.where(x < 128, 0, 255).astype(np.uint8), np.sign(weight) * np.int8(127)
    bias = rng.integers(-(2**30), 2**30, groups * 2, np.int32)
    geometry = {"stride": (2, 1), "padding": (1, 0, 1, 1), "dilation": (1, 1), "groups": groups}
    found = functional.convolve(x, zero_point, weight, bias, **geometry)
    expected = oracle.convolve(x, zero_point, weight, bias, **geometry)
    assert found.tolist() == expected.tolist()


@given(seeds, st.sampled_from([1, 514, 515, 3000]), zero_points)
@settings(max_examples=40, deadline=None)
def test_linear_layers_equal_integers(seed: int, features: int, zero_point: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (3, features), np.uint8)
    weight = rng.integers(-127, 128, (4, features), np.int8)
    bias = rng.integers(-(2**30), 2**30, 4, np.int32)
    found = functional.multiply_accumulate(x, zero_point, weight, bias)
    centred = x.astype(object) - zero_point
    assert found.tolist() == (centred @ weight.astype(object).T + bias.astype(object)).tolist()


@given(seeds, st.sampled_from([1, 60]), st.integers(1, 3), zero_points)
@settings(max_examples=40, deadline=None)
def test_transposed_convolutions_equal_integers(
    seed: int, channels: int, groups: int, zero_point: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (2, groups * channels, 3, 2), np.uint8)
    weight = rng.integers(-127, 128, (groups * channels, 2, 3, 3), np.int8)
    bias = rng.integers(-(2**30), 2**30, groups * 2, np.int32)
    found = functional.convolve_transposed(
        x,
        zero_point,
        weight,
        bias,
        stride=(1, 1),
        padding=(1, 1, 1, 1),
        output_padding=(0, 0),
        dilation=(1, 1),
        groups=groups,
    )
    # With a stride of 1 it is a convolution with the kernel turned round.
    turned = functional.convolution_weight(weight, groups)[:, :, ::-1, ::-1]
    expected = oracle.convolve(x, zero_point, turned, bias, (1, 1), (1,) * 4, (1, 1), groups)
    assert found.tolist() == expected.tolist()


@given(seeds, st.sampled_from([2, 70, 300]))
@settings(max_examples=30, deadline=None)
def test_attention_of_any_length_averages_integers(seed: int, tokens: int) -> None:
    rng = np.random.default_rng(seed)
    query, key, value = rng.integers(0, 256, (3, 1, 1, tokens, 5), np.uint8)
    found = functional.attention(
        query,
        key,
        value,
        None,
        query_zero_point=7,
        value_zero_point=0,
        # All scores round to one weight, 255, so that the averages are plain means.
        score_multiplier=np.float32(2.0**-30),
        value_multiplier=np.float32(1.0),
        zero_point=0,
    )
    sums = [255 * sum(int(v) for v in column) for column in value[0, 0].T]
    ratio = np.float32(1.0) / np.float32(255 * tokens)
    expected = [round(float(np.float32(total) * ratio)) for total in sums]
    assert found[0, 0, 0].tolist() == expected
