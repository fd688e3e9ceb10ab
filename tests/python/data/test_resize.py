"""The resize equals its definition, byte for byte, and is close to Pillow's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.config import Resampling
from smidgen.data.resize import resize
from tests.reference.resize import resize_reference, weights_reference

SIDE = st.integers(1, 70)


@settings(deadline=None, max_examples=60)
@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from(Resampling), st.integers(0, 2**32 - 1))
def test_equals_its_definition(
    height: int, width: int, to_height: int, to_width: int, kind: Resampling, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 2), np.uint8)
    found = resize(image, to_height, to_width, kind)
    expected = resize_reference(image, to_height, to_width, kind is Resampling.BICUBIC)
    np.testing.assert_array_equal(found, expected)


@settings(deadline=None, max_examples=60)
@given(SIDE, SIDE, SIDE, st.sampled_from(Resampling), st.data())
def test_a_part_is_the_same_part_of_the_whole(
    height: int, width: int, side: int, kind: Resampling, data: st.DataObject
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    top = data.draw(st.integers(0, side - 1))
    left = data.draw(st.integers(0, side - 1))
    rows, columns = (top, data.draw(st.integers(top + 1, side))), (left, side)
    part = resize(image, side, side, kind, rows=rows, columns=columns)
    whole = resize(image, side, side, kind)
    np.testing.assert_array_equal(part, whole[slice(*rows), slice(*columns)])


@pytest.mark.parametrize("kind", Resampling)
@pytest.mark.parametrize(("source", "target"), [(16384, 7), (7, 4096), (4096, 4095), (16383, 1)])
def test_extreme_sides_keep_one_colour(source: int, target: int, kind: Resampling) -> None:
    image = np.full((source, 1, 1), 201, np.uint8)
    np.testing.assert_array_equal(resize(image, target, 1, kind), np.full((target, 1, 1), 201))


@pytest.mark.parametrize("cubic", [False, True])
def test_weights_sum_to_one(cubic: bool) -> None:
    sums = {sum(weights_reference(50, n, i, cubic)) for n in (3, 17, 99) for i in range(n)}
    assert sums == {2**14}


@pytest.mark.parametrize("kind", Resampling)
def test_is_close_to_pillow(kind: Resampling) -> None:
    image_module = pytest.importorskip("PIL.Image")
    smooth = np.add.outer(np.arange(90) * 2, np.arange(70)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    pixels = noise // 2 + smooth[..., None] // 2
    filters = {
        Resampling.BILINEAR: image_module.Resampling.BILINEAR,
        Resampling.BICUBIC: image_module.Resampling.BICUBIC,
    }
    # Pillow rounds its weights to 22 bits of their own, and twice as ours: cubic weights overshoot.
    most = {Resampling.BILINEAR: 1, Resampling.BICUBIC: 2}[kind]
    for height, width in ((30, 41), (200, 133), (90, 20)):
        theirs = np.asarray(image_module.fromarray(pixels).resize((width, height), filters[kind]))
        ours = resize(pixels, height, width, kind)
        assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= most
