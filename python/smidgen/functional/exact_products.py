"""Which numbers hold sums of products of integers exactly, so that BLAS may compute them."""

from __future__ import annotations

from typing import Any

import numpy as np

BYTE_PRODUCT = 255 * 128
"""Largest magnitude of a uint8 without its zero point times an int8."""


def exact_dtype(terms: int, largest: int) -> np.dtype[Any]:
    """Returns a type in which a sum of integers is exact in whatever order it is made.

    Every partial sum is at most terms * largest in magnitude, and a float32 holds all integers up
    to 2^24, a float64 those up to 2^53: within these no addition rounds, nor does a fused one.
    NumPy leaves matrices of floats to BLAS and is many times slower on int64, the way otherwise.

    Args:
        terms: How many products are added.
        largest: Bound of the magnitude of one product.

    >>> exact_dtype(1000, 255 * 128)
    dtype('float64')
    """
    bound = terms * largest
    if bound < 2**24:
        return np.dtype(np.float32)
    return np.dtype(np.float64 if bound < 2**53 else np.int64)
