"""Transposed convolution and resizing against torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from smidgen import functional

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.integers(1, 3),
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    zero_point=st.sampled_from([0, 3, 128, 255]),
)
def test_transposed_convolution_equals_torch(
    seed: int,
    groups: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    zero_point: int,
) -> None:
    rng = np.random.default_rng(seed)
    channels, per_group = groups * int(rng.integers(1, 3)), int(rng.integers(1, 3))
    x = rng.integers(0, 256, (2, channels, *rng.integers(3, 6, 2)), np.uint8)
    weight = rng.integers(-127, 128, (channels, per_group, *kernel), np.int8)
    bias = rng.integers(-1000, 1000, groups * per_group, np.int32)
    padding = tuple(
        int(rng.integers(0, d * (k - 1) // 2 + 2)) for d, k in zip(dilation, kernel, strict=True)
    )
    extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    found = functional.convolve_transposed(
        x,
        zero_point,
        weight,
        bias,
        stride=stride,
        padding=(*padding, *padding),
        output_padding=extra,
        dilation=dilation,
        groups=groups,
    )
    expected = F.conv_transpose2d(
        torch.from_numpy(x.astype(np.float64) - zero_point),
        torch.from_numpy(weight.astype(np.float64)),
        torch.from_numpy(bias.astype(np.float64)),
        stride,
        padding,
        extra,
        groups,
        dilation,
    )
    np.testing.assert_array_equal(found, expected.numpy())


def test_weights_by_output_channel() -> None:
    weight = np.arange(4 * 3 * 1 * 2, dtype=np.int8).reshape(4, 3, 1, 2)
    by_output = functional.convolution_weight(weight, 2)
    assert by_output.shape == (6, 2, 1, 2)
    for out, channel in itertools.product(range(6), range(2)):
        group, place = divmod(out, 3)
        assert by_output[out, channel].tolist() == weight[group * 2 + channel, place].tolist()


SIZES = [(5, 7), (10, 14), (9, 3), (1, 1), (6, 20), (2, 8)]


def _image() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, 3, 5, 7), np.uint8)


def _ratio(size: tuple[int, int], *, align_corners: bool = False) -> tuple[float, float]:
    ratios = [
        ((before - 1) / (after - 1) if after > 1 else 0.0) if align_corners else before / after
        for before, after in zip((5, 7), size, strict=True)
    ]
    return float(np.float32(ratios[0])), float(np.float32(ratios[1]))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("is_exact", [False, True])
def test_nearest_takes_the_values_that_torch_takes(size: tuple[int, int], is_exact: bool) -> None:
    x, mode = _image(), "nearest-exact" if is_exact else "nearest"
    found = functional.resize_nearest(x, size, _ratio(size), is_exact=is_exact)
    expected = F.interpolate(torch.from_numpy(x), size, mode=mode)
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("align_corners", [False, True])
def test_bilinear_is_torchs_rounded(size: tuple[int, int], align_corners: bool) -> None:
    x = _image()
    ratio = _ratio(size, align_corners=align_corners)
    found = functional.resize_bilinear(x, size, ratio, align_corners=align_corners)
    exact = F.interpolate(
        torch.from_numpy(x.astype(np.float64)), size, mode="bilinear", align_corners=align_corners
    )
    # Two weights, each off by at most 2^-12, and the rounding of the result.
    assert np.abs(found - exact.numpy()).max() <= 0.5 + 255 * 2 * 2.0**-12


def test_what_lies_on_a_pixel_stays() -> None:
    x = np.array([[[[0, 255], [17, 200]]]], np.uint8)
    same = functional.resize_bilinear(x, (2, 2), (1.0, 1.0), align_corners=False)
    assert same.tolist() == x.tolist()
    doubled = functional.resize_bilinear(x, (1, 3), (0.0, 0.5), align_corners=True)
    assert doubled.tolist() == [[[[0, 128, 255]]]]  # 127.5 is rounded up
