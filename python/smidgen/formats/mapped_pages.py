"""Pages of mapped files: what was read need not stay in memory.

A mapping that is read from end to end keeps every page resident until memory is short. Dropping
pages of a read-only file mapping loses nothing, for they are read again when they are touched.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

PART_BYTES = 1 << 22
"""Bytes that may be read before their pages are dropped."""


def drop_pages(array: NDArray[Any]) -> None:
    """Drops the pages of the file that an array is a view of; other arrays stay as they are."""
    mapping = _mapping_of(array)
    if mapping is None or not array.nbytes:
        return
    low, high = np.lib.array_utils.byte_bounds(array)
    base = np.frombuffer(mapping, np.uint8).ctypes.data
    start = (low - base) // mmap.PAGESIZE * mmap.PAGESIZE
    stop = min(high - base, len(mapping))
    mapping.madvise(mmap.MADV_DONTNEED, start, stop - start)


def _mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """Returns the mapping below an array that cannot be written."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj if owner.readonly else None
    return owner if isinstance(owner, mmap.mmap) else None
