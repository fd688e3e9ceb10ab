"""Attention of quantized heads."""

from __future__ import annotations

import numpy as np

from smidgen.functional.elementary import EXP_LOWEST, exp, maximum
from smidgen.functional.quantized import round_and_clamp
from smidgen.functional.types import F32, U8


def attention_multipliers(
    query_scale: float, key_scale: float, value_scale: float, output_scale: float, *, scale: float
) -> tuple[np.float32, np.float32]:
    """Returns the multipliers of scores and of averages.

    These are fl(fl(s_q * s_k) * scale) and fl(s_v / s_y).
    """
    products = np.float32(query_scale) * np.float32(key_scale)
    averages = np.float32(value_scale) / np.float32(output_scale)
    return np.float32(products * np.float32(scale)), np.float32(averages)


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
    centred = query.astype(np.int64) - query_zero_point
    products = centred @ (key.astype(np.int64) - 128).swapaxes(2, 3)
    # NaN and infinities come from masks of such numbers alone.
    with np.errstate(all="ignore"):
        scores = products.astype(np.int32).astype(np.float32) * score_multiplier
        if mask is not None:
            scores = scores + mask
        is_number = np.where(np.isnan(scores), np.float32(-np.inf), scores)
        shifted = maximum(scores - is_number.max(axis=3, keepdims=True), EXP_LOWEST)
        weights = np.rint(exp(shifted) * np.float32(255)).astype(np.int64)
        totals = weights.sum(axis=3, keepdims=True)
        sums = (weights @ (value.astype(np.int64) - value_zero_point)).astype(np.int32)
        multipliers = value_multiplier / totals.astype(np.int32).astype(np.float32)
        averages = sums.astype(np.float32) * multipliers
    return round_and_clamp(averages, zero_point, 0, 255)
