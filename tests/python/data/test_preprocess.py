"""Resizing to the shorter side, cropping, and the documents of a preprocessing."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen import _engine
from smidgen.config import Augmentation, Extent, ImageLayout, Preprocessing, Resampling
from smidgen.data.augment import Draw, draw, place_part
from smidgen.data.preprocess import normalize, preprocess
from smidgen.errors import EngineError, InvalidConfigError
from tests.python.data.image_files import pictures
from tests.reference.resize import resize_reference

IMAGENET = Preprocessing(
    shorter_side=16,
    crop=Extent(12, 14),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    resampling=Resampling.BICUBIC,
)


@pytest.mark.parametrize(("height", "width", "resized"), [(20, 30, (16, 24)), (33, 21, (25, 16))])
def test_the_shorter_side_is_resized_and_the_middle_is_kept(
    height: int, width: int, resized: tuple[int, int]
) -> None:
    pixels = pictures(1, height, width)[0]
    whole = resize_reference(pixels, *resized, True)
    top, left = (resized[0] - 12) // 2, (resized[1] - 14) // 2
    kept = whole[top : top + 12, left : left + 14] / 255
    expected = ((kept - IMAGENET.mean) / IMAGENET.std).transpose(2, 0, 1)
    found = preprocess(pixels, IMAGENET, Extent(12, 14), "image")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_document_reads_back_the_same() -> None:
    for preprocessing in (IMAGENET, Preprocessing(channels=1, layout=ImageLayout.NHWC, input="x")):
        document = json.loads(json.dumps(preprocessing.to_document()))
        assert Preprocessing.from_document(document) == preprocessing


@pytest.mark.parametrize(
    "change",
    [
        {"input": 3},
        {"input": "\n"},
        {"channels": 2},
        {"channels": True},
        {"resize": [1]},
        {"resize": [0, 1]},
        {"resize": [1, 4097]},
        {"resize": [4, 4]},  # with a shorter side
        {"crop": None},
        {"crop": [17, 2]},
        {"shorter_side": 0},
        {"resampling": "nearest"},
        {"layout": ["nchw"]},
        {"scale": "1"},
        {"scale": 0},
        {"scale": 10**400},
        {"scale": math.nan},
        {"mean": [0.0, 0.0]},
        {"mean": [0.0] * 4},
        {"mean": [math.inf]},
        {"std": []},
        {"std": [0.0]},
        {"std": 1.0},
        {"more": 1},
    ],
    ids=str,
)
def test_other_documents_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidConfigError):
        Preprocessing.from_document({**IMAGENET.to_document(), **change})


@pytest.mark.parametrize("document", [None, [], {}, "text"], ids=str)
def test_other_values_are_no_documents(document: object) -> None:
    with pytest.raises(InvalidConfigError):
        Preprocessing.from_document(document)


def test_drawn_parts_lie_inside_and_have_the_drawn_area() -> None:
    augmentation = Augmentation(flip=True, least_area=0.25)
    shares = []
    for index in range(300):
        drawn = draw(augmentation, Draw(seed=-1, epoch=index % 7, index=index))
        part = place_part(drawn, 40, 60)
        assert 0 <= part.top < part.bottom <= 40
        assert 0 <= part.left < part.right <= 60
        assert 0.25 <= drawn.area <= 1.0
        assert 0.74 <= drawn.ratio <= 1.34
        shares.append((part.bottom - part.top) * (part.right - part.left) / 2400)
    assert min(shares) >= 0.2
    assert max(shares) <= 1.0
    assert 0.5 <= np.mean(shares) <= 0.7


def test_draws_are_those_of_philox() -> None:
    """Known answers of Philox-4x64-10, so that runs resume with any release of numpy."""
    drawn = draw(Augmentation(flip=True, least_area=0.5), Draw(seed=0, epoch=1, index=2))
    words = np.random.Philox(key=[0, 1], counter=[0, 2, 0, 0]).random_raw(5)
    assert (drawn.down, drawn.right) == (int(words[3]), int(words[4]))
    assert drawn.is_flipped == bool(int(words[0]) >> 63)


@pytest.mark.parametrize("least", [0.0, 1.1, math.nan])
def test_impossible_areas_are_refused(least: float) -> None:
    with pytest.raises(InvalidConfigError):
        Augmentation(least_area=least)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("channels", "grey", "channels is 'grey', expected an integer"),
        ("crop", 3, "crop is '3', expected a pair [height, width]"),
        ("std", ["a"], "std is 'a', expected a number"),
        ("layout", "x", "layout is 'x', expected one of nchw, nhwc"),
    ],
)
def test_a_mistyped_field_is_named(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        Preprocessing.from_document({**Preprocessing().to_document(), field: value})
    assert str(caught.value) == message
    assert caught.value.metadata["field"] == field


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(InvalidConfigError, match="'colour' is no field of a preprocessing"):
        Preprocessing.from_document({**Preprocessing().to_document(), "colour": 1})


@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    is_broadcast=st.booleans(),
    layout=st.sampled_from(ImageLayout),
    is_flipped=st.booleans(),
)
def test_samples_are_the_pixels_scaled_in_doubles_and_rounded_once(
    seed: int,
    height: int,
    width: int,
    channels: int,
    is_broadcast: bool,
    layout: ImageLayout,
    is_flipped: bool,
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    pixels = pixels[:, ::-1] if is_flipped else pixels  # not contiguous
    count = 1 if is_broadcast else channels
    mean, std = rng.uniform(-2, 2, count), rng.uniform(0.1, 2, count)
    preprocessing = Preprocessing(
        channels=channels, layout=layout, mean=tuple(mean), std=tuple(std), scale=1 / 255
    )
    expected = ((pixels * (1 / 255) - mean) / std).astype(np.float32)
    if layout is ImageLayout.NCHW:
        expected = expected.transpose(2, 0, 1)
    found = normalize(pixels, preprocessing)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize(
    ("pixels", "table", "out"),
    [
        ((4, 5), (3, 256), 20),
        ((4, 5, 3), (1, 256), 60),
        ((4, 5, 3), (3, 255), 60),
        ((4, 5, 3), (3, 256), 59),
        ((4, 5, 0), (0, 256), 0),
    ],
)
def test_sizes_that_do_not_belong_together_are_refused(
    pixels: tuple[int, ...], table: tuple[int, ...], out: int
) -> None:
    with pytest.raises(EngineError) as caught:
        _engine.look_up_pixels(
            np.zeros(pixels, np.uint8),
            np.zeros(table, np.float32),
            True,
            np.zeros(out, np.float32),
        )
    assert caught.value.reason == "ARRAY_SIZE_MISMATCH"
