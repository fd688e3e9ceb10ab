"""int8 weights that four bits and a multiplier for each group can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.program.rules.expectations import expect
from smidgen.program.types import DType, WeightPacking
from smidgen.qparams import GROUP_SIZES, INT4_QMAX, LARGEST_MULTIPLIER

_CHECKED_AT_A_TIME = 1 << 16
"""Weights whose sets of multipliers are in memory at once."""


def check_packing(name: str, packing: WeightPacking, weight: NDArray[Any]) -> None:
    """Checks that a constant can be packed as it says.

    Raises:
        ProgramError: it is no weight, or a group has no multiplier.
    """
    expect(
        packing.group_size in GROUP_SIZES,
        f"{name} is packed in groups of {packing.group_size}, expected {GROUP_SIZES}",
    )
    expect(
        weight.dtype == DType.INT8.numpy and weight.ndim >= 2 and weight.size > 0,
        f"{name} is packed, and is {weight.dtype} of shape {list(weight.shape)}, expected int8 "
        "weights [O, ...]",
    )
    multipliers(name, packing, weight)


def multipliers(name: str, packing: WeightPacking, weight: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Returns for each group the smallest multiplier m with all weights in m * [-7, 7].

    Without groups it is 1 throughout.

    Shapes: weight [O, ...]. Returns [O, G].

    Raises:
        ProgramError: a group has none.
    """
    rows = weight.reshape(len(weight), -1)
    size = packing.group_size or rows.shape[1]
    at_a_time = max(1, _CHECKED_AT_A_TIME // rows.shape[1])
    fitting = np.concatenate(
        [
            np.bitwise_and.reduceat(
                np.take(_FITTING, rows[start : start + at_a_time].view(np.uint8), mode="clip"),
                np.arange(0, rows.shape[1], size),
                axis=1,
            )
            for start in range(0, len(rows), at_a_time)
        ]
    )
    if packing.group_size == 0:
        fitting &= 1
    if not fitting.all():
        channel, group = np.argwhere(fitting == 0)[0].tolist()
        raise ProgramError(
            f"{name} is packed, and group {group} of channel {channel} is no multiple of [-7, 7]"
        )
    # The lowest bit is a power of two, of which the logarithm is exact.
    lowest = fitting & (~fitting + np.uint32(1))
    found: NDArray[np.uint8] = (np.log2(lowest.astype(np.float64)) + 1).astype(np.uint8)
    return found


def _fitting() -> NDArray[np.uint32]:
    """Returns for each byte of an int8 the set of multipliers that it is a multiple of, as bits.

    Bit m - 1 stands for m. Zero fits all.
    """
    value = np.abs(np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64))
    sets = np.zeros(256, np.uint32)
    for m in range(1, LARGEST_MULTIPLIER + 1):
        fits = (value % m == 0) & (value <= INT4_QMAX * m)
        sets |= fits.astype(np.uint32) << np.uint32(m - 1)
    return sets


_FITTING = _fitting()
