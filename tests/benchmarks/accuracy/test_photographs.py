"""Crops of photographs; of made-up ones, so that no package with photographs is needed."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks.accuracy import photographs
from benchmarks.accuracy.photographs import HELD_OUT, SIDE, TRAINING, PhotographsError, draw_crops

SHADES = {"some/dark.png": 20, "some/light.png": 200}


@pytest.fixture
def shades(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs of a ramp from left to right, above one shade each."""

    def ramp(name: str) -> Image.Image:
        row = np.linspace(SHADES[name], SHADES[name] + 50, 300).astype(np.uint8)
        return Image.fromarray(np.broadcast_to(row[None, :, None], (200, 300, 3)).copy())

    monkeypatch.setattr(photographs, "_open", ramp)


@pytest.mark.usefixtures("shades")
def test_crops_take_turns_among_the_photographs() -> None:
    crops = draw_crops(list(SHADES), 6, seed=0)
    assert (crops.shape, crops.dtype) == ((6, SIDE, SIDE, 3), np.uint8)
    assert crops[::2].max() <= 70
    assert crops[1::2].min() >= 200 - 1


@pytest.mark.usefixtures("shades")
def test_some_crops_are_mirrored_and_all_are_parts() -> None:
    crops = draw_crops(list(SHADES), 40, seed=0).astype(int)
    spans = crops[:, 0, -1, 0] - crops[:, 0, 0, 0]
    assert (spans > 0).any()
    assert (spans < 0).any()
    # At least a tenth of the area in a shape of 4:3 at the most is over a fifth of the width.
    assert np.abs(spans).min() > 50 / 5 - 2
    assert np.abs(spans).max() <= 50


@pytest.mark.usefixtures("shades")
def test_the_seed_decides() -> None:
    first, again, other = (draw_crops(list(SHADES), 4, seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nothing_is_both_trained_and_tested_on() -> None:
    assert not set(TRAINING) & set(HELD_OUT)


def test_photographs_of_the_package_that_is_there() -> None:
    (crop,) = draw_crops(["sklearn/flower.jpg"], 1, seed=0)
    assert crop.std() > 10


def test_a_missing_package_is_told_of() -> None:
    with pytest.raises(PhotographsError, match=r"cat\.png is in the package not_there, which is"):
        draw_crops(["not_there/cat.png"], 1, seed=0)
