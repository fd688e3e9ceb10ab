"""What augmentation draws, a pure function of seed, epoch and sample: resuming needs no state.

The numbers are those of Philox-4x64-10 with the key (seed, epoch) and the counter
(0, sample, 0, 0), from Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from smidgen.config import Augmentation

_MASK = (1 << 64) - 1
_WIDEST = 4 / 3


@dataclass(frozen=True, slots=True)
class Draw:
    """Where in a training run a sample is drawn."""

    seed: int
    epoch: int
    index: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn for one sample.

    Attributes:
        is_flipped: Whether the image is mirrored.
        area: Share of the image's area that is kept.
        ratio: Width over height of the part that is kept.
        down: Where the part lies between top and bottom, of 2^64.
        right: Where it lies between left and right, of 2^64.
    """

    is_flipped: bool
    area: float
    ratio: float
    down: int
    right: int


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an image; bottom and right are the first row and column after it."""

    top: int
    left: int
    bottom: int
    right: int


def draw(augmentation: Augmentation, at: Draw) -> Drawn:
    """Draws for one sample."""
    bits = _bits(at)
    least = augmentation.least_area
    ratio = 1.0 + _share(bits[2]) * (_WIDEST - 1.0)
    return Drawn(
        is_flipped=augmentation.flip and bool(bits[0] >> 63),
        area=least + _share(bits[1]) * (1.0 - least),
        ratio=1.0 / ratio if bits[0] >> 62 & 1 else ratio,
        down=bits[3],
        right=bits[4],
    )


def place_part(drawn: Drawn, height: int, width: int) -> Part:
    """Returns the part of an image that was drawn; where it is too long, a side is cut."""
    pixels = drawn.area * height * width
    tall = min(max(round(math.sqrt(pixels / drawn.ratio)), 1), height)
    wide = min(max(round(math.sqrt(pixels * drawn.ratio)), 1), width)
    top = drawn.down * (height - tall + 1) >> 64
    left = drawn.right * (width - wide + 1) >> 64
    return Part(top, left, top + tall, left + wide)


def _bits(at: Draw) -> list[int]:
    key = np.array([at.seed & _MASK, at.epoch & _MASK], np.uint64)
    counter = np.array([0, at.index, 0, 0], np.uint64)
    return [int(word) for word in np.random.Philox(key=key, counter=counter).random_raw(5)]


def _share(word: int) -> float:
    return (word >> 11) / (1 << 53)
