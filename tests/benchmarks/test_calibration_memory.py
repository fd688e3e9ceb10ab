"""Calibration takes the same memory for few samples and for many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration_memory import (
    BATCH,
    IMAGE,
    Source,
    batches,
    peak_bytes,
    write_dataset,
    write_model,
)
from smidgen.formats.dataset import read_dataset

FEW, MANY = 64, 4000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("memory")
    write_model(path / "net.pt2")
    return path


@pytest.mark.parametrize("source", [Source.STREAM, Source.NPZ])
def test_memory_does_not_grow_with_the_samples(folder: Path, source: Source) -> None:
    few, many = (peak_bytes(source, count, folder) for count in (FEW, MANY))
    # All samples together would be a fifth of it.
    assert MANY * np.prod(IMAGE) * 4 > 0.1 * few
    assert many <= 1.05 * few


@pytest.mark.parametrize("source", [Source.NPZ, Source.SAFETENSORS])
def test_datasets_hold_the_streamed_samples(tmp_path: Path, source: Source) -> None:
    path = tmp_path / f"d.{source}"
    write_dataset(path, BATCH + 3)
    found = read_dataset(path).arrays["inputs"]
    assert np.array_equal(found, np.concatenate(list(batches(BATCH + 3))))
    assert list(path.parent.iterdir()) == [path]
