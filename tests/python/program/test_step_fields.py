"""What models state about windows and sizes becomes the fields of steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from smidgen.program.shapes import windowed_shape
from smidgen.program.step_fields import both_ends, pixel_ratio, reached_padding, requested_shape


def test_only_the_unknown_batch_is_kept() -> None:
    assert requested_shape((None, 3, 1)) == (0, 3, 1)
    assert requested_shape((2, 3)) == (2, 3)


def test_a_padding_is_top_left_bottom_right() -> None:
    assert both_ends((1, 2)) == (1, 2, 1, 2)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("extents", [(6, 7), (9, 12), (5, 5)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 0), (1, 1)])
def test_windows_of_the_padded_image_are_those_of_torch(
    padding: tuple[int, int], extents: tuple[int, int], ceil_mode: bool
) -> None:
    kernel, stride, dilation = (3, 2), (2, 3), (1, 2)
    pool = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, *extents)))
    expected = pool(image)

    top, left, bottom, right = found = reached_padding(
        tuple(image.shape), tuple(expected.shape),
        kernel=kernel, stride=stride, padding=padding, dilation=dilation,
    )  # fmt: skip

    assert (top, left) == padding
    assert bottom >= padding[0]
    assert right >= padding[1]
    geometry = {"kernel": kernel, "stride": stride, "dilation": dilation}
    shape = windowed_shape((1, 2, *extents), 2, padding=found, **geometry)
    assert shape == tuple(expected.shape)
    padded = nn.functional.pad(image, (left, right, top, bottom), value=-torch.inf)
    assert torch.equal(nn.MaxPool2d(kernel, stride, 0, dilation)(padded), expected)


@pytest.mark.parametrize(
    ("extent", "size", "scale", "align_corners", "expected"),
    [
        (4, 7, None, True, 0.5),
        (4, 1, None, True, 0.0),
        (4, 8, 2.0, True, float(np.float32(3) / np.float32(7))),
        (4, 7, None, False, float(np.float32(4) / np.float32(7))),
        (4, 6, 1.7, False, float(np.float32(1 / 1.7))),
    ],
)
def test_the_pixels_for_each_of_the_resized_image(
    extent: int, size: int, scale: float | None, align_corners: bool, expected: float
) -> None:
    assert pixel_ratio(extent, size, scale, align_corners=align_corners) == expected


@pytest.mark.parametrize("scale", [1.7, 0.6, 2.5])
def test_the_ratio_of_a_stated_growth_takes_the_pixels_that_torch_takes(scale: float) -> None:
    row = torch.arange(11.0)[None, None, None]
    expected = interpolate(row, scale_factor=(1.0, scale), mode="nearest")[0, 0, 0]

    ratio = np.float32(pixel_ratio(11, len(expected), scale, align_corners=False))

    places = np.minimum((np.arange(len(expected), dtype=np.float32) * ratio).astype(int), 10)
    assert places.tolist() == expected.int().tolist()
