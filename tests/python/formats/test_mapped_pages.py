"""What was read of a mapped file does not stay in memory."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from smidgen.formats.dataset import read_dataset
from smidgen.formats.mapped_pages import PART_BYTES, drop_pages
from smidgen.tensor_spec import TensorSpec

SAMPLES = 40_000
SPEC = TensorSpec("image", "float32", (None, 1024))
ALLOWED_BYTES = 4 * PART_BYTES


def mapped_bytes(path: Path) -> int:
    """Returns how much of a file is in this process's memory."""
    resident, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            resident += 1024 * int(line.split()[1])
    return resident


def write(path: Path) -> NDArray[np.float32]:
    inputs = np.arange(SAMPLES * 1024, dtype=np.float32).reshape(SAMPLES, 1024)
    if path.suffix == ".npz":
        np.savez(path, inputs=inputs)
    else:
        save_file({"inputs": inputs}, path)
    return inputs


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_reading_a_dataset_keeps_little_of_it_in_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"d.{suffix}"
    inputs = write(path)
    dataset = read_dataset(path)
    assert mapped_bytes(path) <= ALLOWED_BYTES
    most = 0
    for start, batch in zip(range(0, SAMPLES, 2000), dataset.batches([SPEC], 2000), strict=True):
        assert np.array_equal(batch["image"], inputs[start : start + 2000])
        most = max(most, mapped_bytes(path))
    assert 0 < most <= ALLOWED_BYTES < path.stat().st_size / 4
    assert np.array_equal(dataset.inputs_for([SPEC])["image"], inputs)


def test_dropped_pages_come_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(np.arange(1 << 20, dtype=np.int32).tobytes())
    with path.open("rb") as file:
        mapping = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    array = np.frombuffer(mapping, np.int32)
    total = int(array.sum())
    assert mapped_bytes(path) == 4 << 20
    drop_pages(array[1000 : 1 << 19])
    assert mapped_bytes(path) < 3 << 20
    assert int(array.sum()) == total


def test_other_memory_is_left_alone() -> None:
    own = np.arange(10)
    drop_pages(own)
    drop_pages(np.frombuffer(b"12345678", np.int32))
    drop_pages(own[:0])
    anonymous = mmap.mmap(-1, 8192)
    view = np.frombuffer(anonymous, np.int64)
    view[:] = 7
    drop_pages(view)
    assert view.tolist() == [7] * 1024
    assert own.tolist() == list(range(10))
