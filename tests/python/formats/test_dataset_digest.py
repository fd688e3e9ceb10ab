"""Digests of datasets."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.formats import dataset_digest
from smidgen.formats.dataset import Dataset
from smidgen.formats.dataset_digest import dataset_sha256

X = np.arange(24, dtype=np.float32).reshape(6, 4)
LABELS = np.arange(6)


def dataset(**arrays: NDArray[np.generic]) -> Dataset:
    return Dataset({"labels": LABELS, "x": X, **arrays}, 6)


def test_digest_is_that_of_names_types_shapes_and_values() -> None:
    parts = b'["labels", "<i8", [6]]' + LABELS.tobytes() + b'["x", "<f4", [6, 4]]' + X.tobytes()
    assert dataset_sha256(dataset()) == hashlib.sha256(parts).hexdigest()


@pytest.mark.parametrize("size", [1, 7, 16, 40, 1 << 30])
def test_digest_does_not_depend_on_how_much_is_read_at_a_time(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    expected = dataset_sha256(dataset())
    monkeypatch.setattr(dataset_digest, "_BYTES_AT_A_TIME", size)
    assert dataset_sha256(dataset()) == expected
    assert dataset_sha256(dataset(x=np.asfortranarray(X))) == expected


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": X.reshape(6, 2, 2)},
        {"x": X.view(np.int32)},
        {"x": np.where(X == 23, 22, X)},
        {"y": LABELS},
    ],
    ids=["shape", "type", "value", "name"],
)
def test_any_difference_changes_the_digest(arrays: dict[str, NDArray[np.generic]]) -> None:
    assert dataset_sha256(dataset(**arrays)) != dataset_sha256(dataset())
