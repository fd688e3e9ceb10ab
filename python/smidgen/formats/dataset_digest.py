"""The digest of a data set of arrays."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from smidgen.formats.dataset import Dataset

_BYTES_AT_A_TIME = 16 << 20


def dataset_sha256(dataset: Dataset) -> str:
    """Returns the digest of all arrays, with their names, types and shapes."""
    digest = hashlib.sha256()
    for name in sorted(dataset.arrays):
        array = dataset.arrays[name]
        digest.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
        rows = max(1, _BYTES_AT_A_TIME * len(array) // max(array.nbytes, 1))
        for start in range(0, len(array), rows):
            digest.update(np.ascontiguousarray(array[start : start + rows]).tobytes())
    return digest.hexdigest()
