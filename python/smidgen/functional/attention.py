"""Attention of quantized heads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.functional.elementary import maximum
from smidgen.functional.exact_products import BYTE_PRODUCT, exact_dtype, exact_product
from smidgen.functional.quantized import round_and_clamp
from smidgen.functional.types import F32, U8

_SCORE_STEPS = np.float32(float.fromhex("0x1.715476p+11"))  # 2048 / ln(2)
_MOST_STEPS = 32767  # beyond any weight
_MOST_WEIGHT = 255
_LOWEST = np.finfo(np.float32).min

# 128 * 255 * 2^-x for 0 <= x < 1 as a polynomial of x
_POWERS = (32640, 22582, 7568, 1308)


def attention_multipliers(
    query_scale: float, key_scale: float, value_scale: float, output_scale: float, *, scale: float
) -> tuple[np.float32, np.float32]:
    """Returns the multipliers of scores, in steps of 1 / 2048 of a power of two, and of averages.

    These are fl(fl(fl(s_q * s_k) * scale) * fl(2048 / ln(2))) and fl(s_v / s_y).
    """
    products = np.float32(query_scale) * np.float32(key_scale)
    averages = np.float32(value_scale) / np.float32(output_scale)
    return np.float32(products * np.float32(scale) * _SCORE_STEPS), np.float32(averages)


def attention(
    query: U8,
    key: U8,
    value: U8,
    mask: F32 | None,
    *,
    query_zero_point: int,
    value_zero_point: int,
    score_multiplier: np.float32,
    value_multiplier: np.float32,
    zero_point: int,
) -> U8:
    """Averages values with the softmax of scores as weights; docs/arithmetic.md has the formulas.

    The keys' zero point would add the same to all scores of a query, which a softmax does not see.

    Shapes: query, key and value [N, H, S, D]; mask broadcasts to [N, H, S, S]. Returns
    [N, H, S, D].
    """
    dtype = exact_dtype(query.shape[3], BYTE_PRODUCT)
    centred = query.astype(dtype) - dtype.type(query_zero_point)
    keys = key.astype(dtype) - dtype.type(128)
    products = exact_product(centred, keys.swapaxes(2, 3)).astype(np.int64)
    # NaN and infinities come from masks of such numbers alone.
    with np.errstate(all="ignore"):
        scores = products.astype(np.int32).astype(np.float32) * score_multiplier
        if mask is not None:
            scores = scores + maximum(mask * _SCORE_STEPS, _LOWEST)
        is_number = np.where(np.isnan(scores), np.float32(-np.inf), scores)
        weights = _weights(is_number.max(axis=3, keepdims=True) - scores)
        totals = weights.sum(axis=3, keepdims=True)
        dtype = exact_dtype(value.shape[2], _MOST_WEIGHT * 255)
        centred = value.astype(dtype) - dtype.type(value_zero_point)
        sums = exact_product(weights.astype(dtype), centred).astype(np.int64).astype(np.int32)
        multipliers = value_multiplier / totals.astype(np.int32).astype(np.float32)
        averages = sums.astype(np.float32) * multipliers
    return round_and_clamp(averages, zero_point, 0, 255)


def _weights(distances: F32) -> NDArray[np.int64]:
    """Returns 255 * 2^(-d / 2048), rounded, for each distance; 0 where that is NaN."""
    is_near = distances < _MOST_STEPS
    steps = np.rint(np.where(is_near, distances, np.float32(_MOST_STEPS))).astype(np.int64)
    fraction = steps * 32 % 2**16
    power = np.full_like(fraction, _POWERS[3])
    for constant in _POWERS[2::-1]:
        power = constant - (fraction * power >> 16)
    return (power * (256 >> (steps >> 11)) + 2**14) >> 15
