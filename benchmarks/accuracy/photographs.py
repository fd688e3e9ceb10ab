"""Random crops of the photographs that scikit-learn and scikit-image ship, without labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 224
LEAST_AREA = 0.1  # of the photograph
WIDEST = 4 / 3  # width over height of a crop, or its reciprocal

_FOLDERS = {"sklearn": "datasets/images", "skimage": "data"}

TRAINING = (
    "sklearn/china.jpg",
    "skimage/astronaut.png",
    "skimage/brick.png",
    "skimage/cell.png",
    "skimage/coins.png",
    "skimage/grass.png",
    "skimage/gravel.png",
    "skimage/hubble_deep_field.jpg",
    "skimage/ihc.png",
    "skimage/moon.png",
    "skimage/motorcycle_left.png",
    "skimage/motorcycle_right.png",
    "skimage/retina.jpg",
    "skimage/rocket.jpg",
)
"""What calibration and training see."""

HELD_OUT = ("sklearn/flower.jpg", "skimage/camera.png", "skimage/chelsea.png", "skimage/coffee.png")
"""What results are measured on and nothing else sees."""


class PhotographsError(RuntimeError):
    """A package with photographs is not installed."""


def draw_crops(names: Sequence[str], count: int, seed: int) -> NDArray[np.uint8]:
    """Returns crops [count, SIDE, SIDE, 3], taken from the photographs in turn.

    A crop has a random place, a random area from LEAST_AREA to all of the photograph, a random
    shape, and is mirrored or not.

    Raises:
        PhotographsError: a package is missing.
    """
    rng = np.random.default_rng(seed)
    crops = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for index in range(count):
        crops[index] = _crop(_open(names[index % len(names)]), rng)
    return crops


def _crop(photograph: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    width, height = photograph.size
    pixels = rng.uniform(LEAST_AREA, 1.0) * width * height
    ratio = math.exp(rng.uniform(-math.log(WIDEST), math.log(WIDEST)))
    wide, tall = min(math.sqrt(pixels * ratio), width), min(math.sqrt(pixels / ratio), height)
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - tall)
    box = (left, top, left + wide, top + tall)
    crop = np.asarray(photograph.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box))
    return crop[:, ::-1] if rng.integers(2) else crop


@cache
def _open(name: str) -> Image.Image:
    """Reads a photograph from a package's folder; the package is not imported."""
    package, _, file = name.partition("/")
    found = find_spec(package)
    if found is None or found.origin is None:
        raise PhotographsError(
            f"The photograph {file} is in the package {package}, which is not installed; "
            "`make .venv/.bench` installs it."
        )
    with Image.open(Path(found.origin).parent / _FOLDERS[package] / file) as image:
        return image.convert("RGB")
