"""Which numbers hold sums of products of integers exactly, so that BLAS may compute them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def exact_product(lhs: NDArray[Any], rhs: NDArray[Any]) -> NDArray[Any]:
    """Multiplies matrices of integers that are held in the type of exact_dtype.

    No operation on such numbers is invalid. BLAS libraries set the processor's flag for it all
    the same now and then, from lanes of a vector beyond the matrix that hold whatever memory
    held (numpy/numpy#24067, OpenMathLib/OpenBLAS#1924), and NumPy would warn of a true result.

    Shapes: lhs [..., M, K]; rhs [..., K, N]. Returns [..., M, N].
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(lhs @ rhs)
