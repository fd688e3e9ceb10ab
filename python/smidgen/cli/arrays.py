"""Reads and writes the user's own arrays: `.npy` and `.npz` files. Nothing in them is executed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.cli.exits import UsageError
from smidgen.regular_file import open_regular

Arrays = dict[str, NDArray[Any]]
_ONLY_INPUT = "inputs"
_LABELS = "labels"


def read_arrays(path: Path) -> Arrays:
    """Reads arrays by input name, without labels; floating point becomes float32.

    The array of a `.npy` file, and one called `inputs`, are for a model's only input and get the
    name "".

    Raises: UsageError, OSError.
    """
    return {
        "" if name == _ONLY_INPUT else name: _as_sendable(array)
        for name, array in _load(path).items()
        if name != _LABELS
    }


def read_samples(path: Path, limit: int | None = None) -> Arrays:
    """Reads arrays whose first extents, the samples, are equal; at most limit samples of each.

    Raises: UsageError, OSError.
    """
    arrays = read_arrays(path)
    counts = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        found = ", ".join(f"{name or 'the array'}: {count}" for name, count in counts.items())
        raise UsageError(
            f"{path} has first extents {found or 'of no array at all'}, "
            "expected the same number of samples, at least 1, in each array",
            reason="SAMPLES_UNEQUAL",
            path=str(path),
        )
    return {name: array[:limit] for name, array in arrays.items()}


def batches(arrays: Mapping[str, NDArray[Any]], batch_size: int) -> Iterator[Arrays]:
    """Cuts samples into batches; the last may be smaller."""
    count = len(next(iter(arrays.values())))
    for start in range(0, count, batch_size):
        yield {name: array[start : start + batch_size] for name, array in arrays.items()}


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Writes a `.npz` file of several arrays, or a `.npy` file of one.

    Raises: UsageError, OSError.
    """
    if path.suffix == ".npz":
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, array, allow_pickle=False)
    elif path.suffix == ".npy" and len(arrays) == 1:
        np.save(path, next(iter(arrays.values())), allow_pickle=False)
    else:
        raise UsageError(
            f"{path} cannot hold {len(arrays)} outputs, expected a .npz file, "
            "or a .npy file for one output",
            reason="FILE_FORMAT_UNKNOWN",
            path=str(path),
        )


def _load(path: Path) -> Arrays:
    if path.suffix not in (".npy", ".npz"):
        raise UsageError(
            f"{path} ends in {path.suffix or 'no extension'}, expected .npy or .npz",
            reason="FILE_FORMAT_UNKNOWN",
            path=str(path),
        )
    try:
        with open_regular(path) as file:
            loaded = np.load(file, allow_pickle=False)
            return (
                dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {_ONLY_INPUT: loaded}
            )
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(
            f"{path} is not a readable {path.suffix} file of plain arrays: {error}",
            reason="FILE_MALFORMED",
            path=str(path),
        ) from None


def _as_sendable(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype.kind == "f" else array
