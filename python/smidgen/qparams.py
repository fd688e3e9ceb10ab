"""Quantization parameters and how a range becomes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import CalibrationError

UINT8_MIN, UINT8_MAX = 0, 255
INT8_MIN, INT8_MAX = -128, 127
WEIGHT_QMAX = 127  # symmetric weights use [-127, 127], so that negation never leaves the range
INT4_QMAX = 7  # likewise
LARGEST_MULTIPLIER = WEIGHT_QMAX // INT4_QMAX
"""int4 weights times a multiplier from 1 to this are int8 weights."""
GROUP_SIZES = (0, 32, 64, 128, 256)
"""How many int4 weights may share a multiplier; 0 for all of an output channel."""

SMALLEST_SCALE = float(np.float32(2.0**-60))
LARGEST_SCALE = float(np.float32(2.0**60))
NARROWEST_RANGE, WIDEST_RANGE = SMALLEST_SCALE * UINT8_MAX, LARGEST_SCALE * UINT8_MAX
"""How wide a range may be that contains 0, except that it may be 0 alone."""

REPRESENTABLE_RANGES = (
    f"expected a width with 0 of {NARROWEST_RANGE:.3g} to {WIDEST_RANGE:.3g} (a scale of 2^-60 to "
    "2^60)"
)
"""What a message says about ranges that have no scale, behind the range."""


@dataclass(frozen=True, slots=True)
class QParams:
    """Per-tensor uint8 parameters: real = scale * (q - zero_point).

    Attributes:
        scale: A positive finite float32 value, held as a Python float.
        zero_point: 0 to 255.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if not SMALLEST_SCALE <= self.scale <= LARGEST_SCALE:
            raise CalibrationError(
                f"scale is {self.scale}, expected a value in [2**-60, 2**60]", scale=self.scale
            )
        if float(np.float32(self.scale)) != self.scale:
            raise CalibrationError(f"scale {self.scale} is not a float32", scale=self.scale)
        if not UINT8_MIN <= self.zero_point <= UINT8_MAX:
            raise CalibrationError(
                f"zero point is {self.zero_point}, expected 0 to 255", zero_point=self.zero_point
            )


def qparams_from_range(low: float, high: float) -> QParams:
    """Chooses uint8 parameters that cover [low, high] and represent 0 exactly.

    The range is first widened to contain 0; a range of no width gets scale 1. No scale is bent to
    fit: a range that has none within the bounds of QParams is refused.
    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks", section 3.

    Raises:
        CalibrationError: the range is not finite or is inverted; RANGE_NOT_REPRESENTABLE.

    >>> qparams_from_range(0.0, 255.0)
    QParams(scale=1.0, zero_point=0)
    """
    if not (np.isfinite(low) and np.isfinite(high)) or low > high:
        raise CalibrationError(
            f"range is [{low}, {high}], expected finite ends in order", low=low, high=high
        )
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if high == low:
        return QParams(scale=1.0, zero_point=0)
    if not has_scale(low, high):
        raise CalibrationError(
            f"range is [{low:.7g}, {high:.7g}], {REPRESENTABLE_RANGES}",
            reason="RANGE_NOT_REPRESENTABLE",
            low=low,
            high=high,
        )
    scale = _scale(low, high)
    zero_point = int(np.clip(np.rint(-low / scale), UINT8_MIN, UINT8_MAX))
    return QParams(scale=scale, zero_point=zero_point)


def has_scale(low: float, high: float) -> bool:
    """Tells whether uint8 can hold a finite range: whether its scale lies in [2^-60, 2^60].

    >>> has_scale(0.0, 1.0), has_scale(0.0, 0.0), has_scale(0.0, 1e30), has_scale(-1e-30, 0.0)
    (True, True, False, False)
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    return high == low or SMALLEST_SCALE <= _scale(low, high) <= LARGEST_SCALE


def _scale(low: float, high: float) -> float:
    """Computed in double: the width of a range of float32 may be no float32."""
    return float(np.float32((high - low) / UINT8_MAX))


def symmetric_weight_scales(
    weight: NDArray[np.float32], *, largest: int = WEIGHT_QMAX
) -> NDArray[np.float32]:
    """Chooses one scale for each output channel (axis 0), zero point 0.

    Shapes: weight [O, ...] float32. Returns [O] float32: max|w| / largest, or 1 for zeros only. A
    channel whose weights are all less than 2^-60 * largest gets the scale 2^-60, which rounds each
    of them by 2^-61 at most.
    Scales end at 2^60, where training may bring them; check_weights refuses what they clip.

    >>> symmetric_weight_scales(np.array([[127.0, -1.0], [0.0, 0.0]], np.float32))
    array([1., 1.], dtype=float32)
    """
    ends = np.abs(weight.reshape(weight.shape[0], -1)).max(axis=1).astype(np.float64)
    scales = np.clip(ends / largest, SMALLEST_SCALE, LARGEST_SCALE)
    return np.where(ends == 0.0, 1.0, scales).astype(np.float32)


def check_weights(weight: NDArray[np.float32], *, largest: int = WEIGHT_QMAX) -> None:
    """Checks that no weight is beyond what the largest scale covers.

    Raises:
        CalibrationError: WEIGHT_NOT_REPRESENTABLE.
    """
    end, limit = float(np.abs(weight).max(initial=0.0)), largest * LARGEST_SCALE
    if end > limit:
        raise CalibrationError(
            f"weights reach {end:.7g}, expected at most {limit:.7g}; keep the layer in float, or "
            "scale its weights down",
            reason="WEIGHT_NOT_REPRESENTABLE",
            largest=end,
        )
