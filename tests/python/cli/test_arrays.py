from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.cli.arrays import batches, read_arrays, read_samples, write_arrays
from smidgen.cli.exits import UsageError


def test_reads_inputs_without_labels_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, image=np.ones((3, 2)), ids=np.arange(3, dtype=np.int64), labels=np.zeros(3))
    arrays = read_arrays(path)
    assert list(arrays) == ["image", "ids"]
    assert arrays["image"].dtype == np.float32
    assert arrays["ids"].dtype == np.int64


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_the_only_input_has_no_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    values = np.ones((2, 2), np.float32)
    if name == "a.npy":
        np.save(path, values)
    else:
        np.savez(path, inputs=values)
    assert list(read_arrays(path)) == [""]


def test_samples_are_limited_and_cut_into_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(10, dtype=np.float32).reshape(10, 1))
    cut = list(batches(read_samples(path, 7), 3))
    assert [batch[""].ravel().tolist() for batch in cut] == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"a": np.ones(2), "b": np.ones(3)}, "SAMPLES_UNEQUAL"),
        ({"a": np.ones(())}, "SAMPLES_UNEQUAL"),
        ({"labels": np.ones(2)}, "SAMPLES_UNEQUAL"),
        ({"a": np.array([None])}, "FILE_MALFORMED"),
    ],
)
def test_bad_samples_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], reason: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(UsageError) as caught:
        read_samples(path)
    assert caught.value.reason == reason


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for content in (b"", b"not an array", b"PK\x03\x04damaged"):
        path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            read_arrays(path)
        assert caught.value.reason == "FILE_MALFORMED"


def test_unknown_extensions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2")
    with pytest.raises(UsageError, match=r"\.npy or \.npz"):
        read_arrays(path)
    with pytest.raises(UsageError, match=r"\.npz file"):
        write_arrays(path, {"a": np.ones(1)})
    with pytest.raises(UsageError, match="2 outputs"):
        write_arrays(tmp_path / "a.npy", {"a": np.ones(1), "b": np.ones(1)})


def test_what_was_written_can_be_read(tmp_path: Path) -> None:
    arrays = {"file": np.arange(3, dtype=np.float32), "b": np.eye(2, dtype=np.float32)}
    write_arrays(tmp_path / "a.npz", arrays)
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == ["file", "b"]
    np.testing.assert_array_equal(found["b"], np.eye(2))
    write_arrays(tmp_path / "a.npy", {"b": arrays["b"]})
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.eye(2))
