"""The resize of docs/preprocessing.md in plain loops over Python's integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resize_reference(
    image: NDArray[np.uint8], height: int, width: int, cubic: bool
) -> NDArray[np.uint8]:
    """Resizes [H, W, C] along its width, then along its height."""
    across = np.stack([_line(row, width, cubic) for row in image])
    down = np.stack([_line(across[:, x], height, cubic) for x in range(width)])
    return down.transpose(1, 0, 2)


def _line(pixels: NDArray[np.uint8], target: int, cubic: bool) -> NDArray[np.uint8]:
    """Resizes a line of pixels [n, C]."""
    count, channels = pixels.shape
    if count == target:
        return pixels
    result = np.empty((target, channels), np.uint8)
    for i in range(target):
        weights = weights_reference(count, target, i, cubic)
        for c in range(channels):
            total = sum(w * int(pixels[j, c]) for j, w in enumerate(weights))
            result[i, c] = min(max((total + 2**13) >> 14, 0), 255)
    return result


def weights_reference(count: int, target: int, i: int, cubic: bool) -> list[int]:
    """Returns the weights of all pixels for result i, integers that sum to 2^14."""
    wide = max(count, target)
    raw = []
    for j in range(count):
        distance = abs((2 * j + 1) * target - (2 * i + 1) * count)
        raw.append(_cubic(distance, wide) if cubic else max(2 * wide - distance, 0))
    total, before, weights = sum(raw), 0, []
    for value in raw:
        after = before + value
        weights.append(_share(after, total) - _share(before, total))
        before = after
    return weights


def _share(part: int, total: int) -> int:
    return (part * 2**14 + total // 2) // total


def _cubic(distance: int, wide: int) -> int:
    x, one = (distance * 2**10 + wide) // (2 * wide), 2**10
    if x < one:
        return 3 * x**3 - 5 * x**2 * one + 2 * one**3
    if x < 2 * one:
        return -(x**3) + 5 * x**2 * one - 8 * x * one**2 + 4 * one**3
    return 0
