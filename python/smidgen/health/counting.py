"""Counts the values of a tensor in the cells of its calibration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.health.findings import TensorFindings
from smidgen.program import TensorInfo, WatchedTensor

MOST_VALUES = 1 << 14
"""Of one tensor and request: more say little more, and cost time."""


def count_tensor(
    watched: WatchedTensor, tensor: TensorInfo, values: NDArray[Any]
) -> TensorFindings:
    """Counts real values before they are quantized, evenly chosen where there are very many.

    Args:
        watched: The cells.
        tensor: The quantized tensor, whose range clips.
        values: float32 of any shape, not empty. Infinities and NaN count as clipped.
    """
    flat = values.reshape(-1)
    # Odd, so that not the same column or channel is taken each time.
    flat = flat[:: (flat.size // MOST_VALUES) | 1 if flat.size > MOST_VALUES else 1]
    assert tensor.scale is not None
    levels = flat / np.float64(tensor.scale) + tensor.zero_point
    inside = int(np.count_nonzero((levels >= -0.5) & (levels <= 255.5)))
    last = watched.first + watched.cells
    # Bounded before the conversion to integers, which knows neither infinities nor NaN.
    cells = np.floor(flat * np.float64(math.ldexp(1.0, -watched.exponent)))
    bounded = np.nan_to_num(np.clip(cells, watched.first - 1, last), nan=last)
    places = bounded.astype(np.int64) - (watched.first - 1)
    counts = np.bincount(places, minlength=watched.cells + 2)
    return TensorFindings(watched, flat.size, flat.size - inside, tuple(counts.tolist()))
