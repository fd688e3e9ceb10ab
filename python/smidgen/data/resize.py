"""Resizing images in integers: the same bytes on every machine, in training and in serving.

docs/preprocessing.md writes the definition out; tests/reference/resize.py is the same in plain
loops. Weights are integers that sum to 2^14, so that what is of one colour stays of that colour.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from smidgen.config import Resampling

_ONE = 1 << 14
_STEPS = 1 << 10
_BLOCK = 32
_REACH = {Resampling.BILINEAR: 1, Resampling.BICUBIC: 2}

Window = tuple[int, int]
"""First pixel, and the one after the last, of what is wanted along one axis."""


def resize(
    image: NDArray[np.uint8],
    height: int,
    width: int,
    resampling: Resampling,
    *,
    rows: Window | None = None,
    columns: Window | None = None,
) -> NDArray[np.uint8]:
    """Resizes an image, first along its width and then along its height.

    Args:
        image: [H, W, C].
        height: Height to resize to.
        width: Width to resize to.
        resampling: The filter, widened where the image gets smaller.
        rows: Part of the result that is wanted; None for all rows.
        columns: Part of the result that is wanted; None for all columns.

    Returns:
        [height, width, C], or the wanted part of it.
    """
    top, bottom = rows or (0, height)
    left, right = columns or (0, width)
    if image.shape[0] != height:
        # Only the rows that the second pass will read go through the first.
        first, after = _reach(image.shape[0], height, resampling, (top, bottom))
    else:
        first, after = top, bottom
    across = image[first:after].transpose(1, 0, 2)
    across = _pass(across, image.shape[1], width, resampling, wanted=(left, right), first=0)
    down = across.transpose(1, 0, 2)
    return _pass(down, image.shape[0], height, resampling, wanted=(top, bottom), first=first)


def _pass(
    pixels: NDArray[np.uint8],
    source: int,
    target: int,
    resampling: Resampling,
    *,
    wanted: Window,
    first: int,
) -> NDArray[np.uint8]:
    """Resizes the first axis, whose pixels are those of `source` from number `first` on."""
    if source == target:
        return pixels[wanted[0] - first : wanted[1] - first]
    others = pixels.shape[1:]
    # Products and sums of integers below 2^24 are exact in float32, in any order.
    flat = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1)
    result = np.empty((wanted[1] - wanted[0], flat.shape[1]), np.uint8)
    for start in range(wanted[0], wanted[1], _BLOCK):
        stop = min(start + _BLOCK, wanted[1])
        low, matrix = _weights(source, target, resampling, start, stop)
        taken = flat[low - first : low - first + matrix.shape[1]]
        sums = matrix @ taken.astype(np.float32)
        rounded = np.floor((sums + np.float32(_ONE // 2)) * np.float32(1 / _ONE))
        result[start - wanted[0] : stop - wanted[0]] = rounded.clip(0, 255)
    return result.reshape(-1, *others)


@lru_cache(maxsize=1024)
def _weights(
    source: int, target: int, resampling: Resampling, start: int, stop: int
) -> tuple[int, NDArray[np.float32]]:
    """Returns the first pixel that results start to stop take, and their weights by pixel."""
    low, after = _reach(source, target, resampling, (start, stop))
    wide = max(source, target)
    results = np.arange(start, stop, dtype=np.int64)[:, None]
    places = np.arange(low, after, dtype=np.int64)[None, :]
    distance = np.abs((2 * places + 1) * target - (2 * results + 1) * source)
    if resampling is Resampling.BILINEAR:
        raw = np.maximum(2 * wide - distance, 0)
    else:
        raw = _cubic(distance, wide)
    sums = raw.cumsum(axis=1)
    total = sums[:, -1:]
    ends = (sums * _ONE + total // 2) // total
    weights = np.diff(ends, axis=1, prepend=0)
    return low, weights.astype(np.float32)


def _cubic(distance: NDArray[np.int64], wide: int) -> NDArray[np.int64]:
    """Returns Keys' cubic with a = -1/2, times 2^31, of distance / (2 wide) in steps of 2^-10."""
    x = np.minimum((distance * _STEPS + wide) // (2 * wide), 2 * _STEPS)
    near = 3 * x**3 - 5 * x**2 * _STEPS + 2 * _STEPS**3
    far = -(x**3) + 5 * x**2 * _STEPS - 8 * x * _STEPS**2 + 4 * _STEPS**3
    values: NDArray[np.int64] = np.where(x < _STEPS, near, far)
    return values


def _reach(source: int, target: int, resampling: Resampling, wanted: Window) -> Window:
    """Returns the pixels whose weight for a wanted result may differ from 0."""
    reach = _REACH[resampling] * max(source, target)
    low = ((2 * wanted[0] + 1) * source - 2 * reach) // (2 * target) - 1
    after = ((2 * wanted[1] - 1) * source + 2 * reach) // (2 * target) + 2
    return max(low, 0), min(after, source)
