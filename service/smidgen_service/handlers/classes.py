"""The greatest values of an output, as texts: what clients ask for that want classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen_service.handlers.tensors import RawTensor

_LENGTH_BYTES = 4
_LEAST_TEXT_BYTES = len("0:0")


def least_bytes(array: NDArray[Any], count: int) -> int:
    """Returns how many bytes the greatest values take at least, as `greatest_values` has them."""
    rows = array.shape[0] if array.ndim > 1 else 1
    kept = min(count, array.size // rows)
    return rows * kept * (_LENGTH_BYTES + _LEAST_TEXT_BYTES)


def greatest_values(name: str, array: NDArray[Any], count: int) -> RawTensor:
    """Returns the greatest values of each sample, greatest first, as BYTES `value:index`.

    Shapes: an output [N, ...] gives [N, k], one of fewer than two extents gives [k], k being the
    smaller one of count and the values of a sample. Of equal values the first comes first. Each
    text stands after its length in four bytes.
    """
    is_batch = array.ndim > 1
    rows = array.reshape(array.shape[0] if is_batch else 1, -1)
    kept = min(count, rows.shape[1])
    # Sorted from behind, and read from behind: of equal values the first comes first.
    ascending = np.argsort(rows[:, ::-1], axis=1, kind="stable")
    greatest = rows.shape[1] - 1 - ascending[:, ::-1][:, :kept]
    elements = [
        _element(row[index], int(index))
        for row, indices in zip(rows, greatest, strict=True)
        for index in indices
    ]
    shape = (rows.shape[0], kept) if is_batch else (kept,)
    return RawTensor(name, "bytes", shape, b"".join(elements))


def _element(value: np.generic, index: int) -> bytes:
    text = f"{value:f}" if value.dtype.kind == "f" else f"{value:d}"
    encoded = f"{text}:{index}".encode()
    return len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded
