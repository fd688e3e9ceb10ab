"""Data sets are read strictly, and fit the models they are used with."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from safetensors.numpy import save_file

from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import Dataset, DatasetFormat, DatasetLimits, read_dataset
from smidgen.formats.npy import parse_npy
from smidgen.tensor_spec import TensorSpec
from tests.python.formats.zip_writer import Entry, write_zip

IMAGES = np.arange(5 * 3 * 4 * 2, dtype=np.float32).reshape(5, 3, 4, 2) / 7
IMAGE = TensorSpec("image", "float32", (None, 3, 4, 2))


def _npz(path: Path, *, compressed: bool = False, **named: Any) -> Dataset:
    (np.savez_compressed if compressed else np.savez)(path / "d.npz", **named)
    return read_dataset(path / "d.npz", DatasetFormat.NPZ)


def _safetensors(path: Path, **named: Any) -> Dataset:
    save_file(named, path / "d.safetensors")
    return read_dataset(path / "d.safetensors", DatasetFormat.SAFETENSORS)


def _refused(path: Path, **named: Any) -> str:
    with pytest.raises(InvalidDatasetError) as refusal:
        _npz(path, **named)
    return refusal.value.reason


def npy(header: str, data: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    layout = "<H" if version == (1, 0) else "<L"
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack(layout, len(text)) + text + data


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npz_is_read(tmp_path: Path, compressed: bool, order: str) -> None:
    images = np.asarray(IMAGES, order=order)
    dataset = _npz(tmp_path, compressed=compressed, inputs=images, labels=np.arange(5, dtype="u1"))
    assert dataset.sample_count == 5
    assert list(dataset.arrays) == ["inputs", "labels"]
    assert dataset.labels is not None
    assert dataset.labels.dtype == np.int64
    assert dataset.labels.tolist() == [0, 1, 2, 3, 4]
    found = dataset.inputs_for([IMAGE])["image"]
    np.testing.assert_array_equal(found, IMAGES)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous


def test_safetensors_are_read(tmp_path: Path) -> None:
    dataset = _safetensors(tmp_path, image=IMAGES, labels=np.linspace(0, 1, 5))
    np.testing.assert_array_equal(dataset.inputs_for([IMAGE])["image"], IMAGES)
    assert dataset.labels is not None
    assert dataset.labels.dtype == np.float32


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_the_array_of_inputs(tmp_path: Path, order: str) -> None:
    np.save(tmp_path / "d.npy", np.asarray(IMAGES, order=order))
    dataset = read_dataset(tmp_path / "d.npy")
    assert (list(dataset.arrays), dataset.sample_count, dataset.labels) == (["inputs"], 5, None)
    np.testing.assert_array_equal(dataset.inputs_for([IMAGE])["image"], IMAGES)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "DATASET_MALFORMED"),
        (
            npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", bytes(8)),
            "DATASET_UNSUPPORTED_DTYPE",
        ),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", bytes(4)),
            "DATASET_MALFORMED",
        ),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}", b""), "DATASET_EMPTY"),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9,)}", bytes(36)),
            "DATASET_TOO_LARGE",
        ),
    ],
)
def test_other_npy_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "d.npy").write_bytes(content)
    with pytest.raises(InvalidDatasetError) as refusal:
        read_dataset(tmp_path / "d.npy", limits=DatasetLimits(file_bytes=99))
    assert refusal.value.reason == reason


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_inputs_become_float32_by_value(tmp_path: Path, dtype: str) -> None:
    values = np.arange(120).reshape(5, 3, 4, 2).astype(dtype)
    found = _npz(tmp_path, inputs=values).inputs_for([IMAGE])["image"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.arange(120).reshape(5, 3, 4, 2))


def test_unscaled_pixels_are_refused(tmp_path: Path) -> None:
    dataset = _npz(tmp_path, inputs=np.arange(120, dtype=np.uint8).reshape(5, 3, 4, 2))
    with pytest.raises(InvalidDatasetError, match="scale the values as the model was") as caught:
        dataset.inputs_for([IMAGE])
    assert caught.value.reason == "DATASET_UNSUPPORTED_DTYPE"


def test_batches_cover_all_samples_in_order(tmp_path: Path) -> None:
    dataset = _npz(tmp_path, image=IMAGES, other=IMAGES + 1)
    other = TensorSpec("other", "float32", (None, 3, 4, 2))
    batches = list(dataset.batches([IMAGE, other], 2))
    assert [len(batch["image"]) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([b["other"] for b in batches]), IMAGES + 1)


def test_uncompressed_arrays_are_read_only_views(tmp_path: Path) -> None:
    dataset = _npz(tmp_path, inputs=IMAGES, labels=np.arange(5))
    assert not dataset.arrays["inputs"].flags.owndata
    assert not any(array.flags.writeable for array in dataset.arrays.values())


def test_a_data_set_must_fit_the_model(tmp_path: Path) -> None:
    dataset = _npz(tmp_path, inputs=IMAGES, count=np.arange(5))
    two = [IMAGE, TensorSpec("mask", "float32", (None, 1))]
    for specs, reason in (
        (two, "DATASET_INPUT_MISSING"),
        ([TensorSpec("x", "float32", (None, 3, 4, 3))], "DATASET_SHAPE_MISMATCH"),
        ([TensorSpec("x", "float32", (None, 3))], "DATASET_SHAPE_MISMATCH"),
        ([TensorSpec("count", "float32", (None,))], "DATASET_UNSUPPORTED_DTYPE"),
    ):
        with pytest.raises(InvalidDatasetError) as refusal:
            dataset.inputs_for(specs)
        assert refusal.value.reason == reason


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_must_be_finite(tmp_path: Path, bad: float) -> None:
    images = IMAGES.copy()
    images[4, 2, 3, 1] = bad
    assert _refused(tmp_path, inputs=images) == "DATASET_NOT_FINITE"
    with pytest.raises(InvalidDatasetError) as refusal:
        _safetensors(tmp_path, inputs=images)
    assert refusal.value.reason == "DATASET_NOT_FINITE"
    assert f"'inputs' has {bad} in sample 4 at [2, 3, 1]," in refusal.value.message
    assert refusal.value.metadata == {"array": "inputs", "sample": "4", "index": "[2, 3, 1]"}


def test_values_that_are_not_finite_are_found_behind_the_first_part_and_in_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smidgen.formats.dataset.PART_BYTES", 64)
    values = np.zeros((9, 7), np.float32)
    values[5, 6] = values[8, 0] = np.inf
    for array, sample, index in ((values, 5, 6), (np.asfortranarray(values), 8, 0)):
        path = tmp_path / "columns.npy"
        np.save(path, array)
        with pytest.raises(InvalidDatasetError, match=rf"inf in sample {sample} at \[{index}\]"):
            read_dataset(path)
    np.save(path, np.float32(np.nan))
    with pytest.raises(InvalidDatasetError, match="nan in sample 0,"):
        read_dataset(path)


def test_bad_data_sets_are_refused(tmp_path: Path) -> None:
    assert _refused(tmp_path, inputs=np.full((2, 2), 1e39)) == "DATASET_NOT_FINITE"
    assert _refused(tmp_path, inputs=IMAGES, labels=np.arange(4)) == "DATASET_UNEQUAL_LENGTHS"
    assert _refused(tmp_path, inputs=IMAGES[:0]) == "DATASET_EMPTY"
    assert _refused(tmp_path, labels=np.arange(4)) == "DATASET_EMPTY"
    assert _refused(tmp_path) == "DATASET_EMPTY"
    assert _refused(tmp_path, inputs=np.float32(1)) == "DATASET_MALFORMED"
    assert _refused(tmp_path, inputs=IMAGES.astype(">f4")) == "DATASET_UNSUPPORTED_DTYPE"
    assert _refused(tmp_path, inputs=np.array(["a"])) == "DATASET_UNSUPPORTED_DTYPE"
    assert _refused(tmp_path, inputs=np.ones(3, complex)) == "DATASET_UNSUPPORTED_DTYPE"
    assert _refused(tmp_path, inputs=np.ones(3, "f4,i4")) == "DATASET_MALFORMED"
    big = np.full(5, 2**64 - 1, np.uint64)
    assert _refused(tmp_path, inputs=IMAGES, labels=big) == "DATASET_MALFORMED"


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Hostile:
        def __reduce__(self) -> Any:
            return open, (str(canary), "w")

    objects = np.array([Hostile()], dtype=object)
    assert _refused(tmp_path, inputs=objects) == "DATASET_UNSUPPORTED_DTYPE"
    assert not canary.exists()


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d"
    inner = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", b"1234")
    for name, data, reason in (
        ("npz", b"", "ZIP_NO_END_RECORD"),
        ("npz", inner, "ZIP_NO_END_RECORD"),
        ("npz", write_zip([Entry(b"a.txt", b"")]), "DATASET_MALFORMED"),
        ("npz", write_zip([Entry(b"a/b.npy", inner)]), "DATASET_MALFORMED"),
        ("safetensors", b"", "DATASET_MALFORMED"),
        ("safetensors", b"\xff" * 64, "DATASET_MALFORMED"),
        ("safetensors", struct.pack("<Q", 2) + b"[]", "DATASET_MALFORMED"),
        ("safetensors", struct.pack("<Q", 2) + b"{}", "DATASET_EMPTY"),
    ):
        path.write_bytes(data)
        with pytest.raises(InvalidDatasetError) as refusal:
            read_dataset(path, DatasetFormat(name))
        assert refusal.value.reason == reason


def test_limits_hold(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", inputs=np.zeros((1000, 100)), other=np.zeros(1000))
    save_file({"a": IMAGES, "b": IMAGES}, tmp_path / "d.safetensors")
    for name, limits, reason in (
        ("npz", DatasetLimits(file_bytes=100), "ZIP_TOO_LARGE"),
        ("npz", DatasetLimits(array_bytes=1000), "ZIP_TOO_LARGE"),
        ("npz", DatasetLimits(arrays=1), "ZIP_TOO_MANY_ENTRIES"),
        ("safetensors", DatasetLimits(file_bytes=100), "DATASET_TOO_LARGE"),
        ("safetensors", DatasetLimits(arrays=1), "DATASET_TOO_LARGE"),
    ):
        with pytest.raises(InvalidDatasetError) as refusal:
            read_dataset(tmp_path / f"d.{name}", DatasetFormat(name), limits=limits)
        assert refusal.value.reason == reason


GOOD = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize(
    ("header", "shape"),
    [
        (GOOD, (2,)),
        ("{'shape':(1, 2),'descr':'<f4','fortran_order':True}", (1, 2)),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1)}   ", (2, 1, 1)),
    ],
)
def test_headers_of_all_writers_are_read(header: str, shape: tuple[int, ...]) -> None:
    for version in ((1, 0), (2, 0), (3, 0)):
        array = parse_npy(npy(header, struct.pack("<2f", 1.5, -2), version), "a")
        assert array.shape == shape
        assert array.ravel().tolist() == [1.5, -2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        npy(GOOD, b"\0" * 7),
        npy(GOOD, b"\0" * 9),
        npy(GOOD, b"\0" * 8, (4, 0)),
        npy(GOOD.replace("(2,)", "(-2,)"), b"\0" * 8),
        npy(GOOD.replace("(2,)", "(2**1,)"), b"\0" * 8),
        npy(GOOD.replace("(2,)", "(" + "1," * 9 + ")"), b"\0" * 4),
        npy(GOOD.replace("(2,)", "(9999999999999999999,)"), b"\0" * 8),
        npy(GOOD.replace("(2,)", "(4294967296, 4294967296)"), b"\0" * 8),
        npy(GOOD.replace("False", "0"), b"\0" * 8),
        npy(GOOD.replace("'shape'", "'shape': (2,), 'shape'"), b"\0" * 8),
        npy(GOOD.replace("'shape'", "'other'"), b"\0" * 8),
        npy("__import__('os').abort()", b"\0" * 8),
        npy("{'descr': '<f4', 'fortran_order': False}", b"\0" * 8),
        npy("{" + " " * 5000 + GOOD[1:], b"\0" * 8),
        npy(GOOD, b"\0" * 8)[:40],
        npy(GOOD, b"\0" * 8).replace(b"descr", b"d\xffscr"),
    ],
)
def test_bad_npy_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidDatasetError) as refusal:
        parse_npy(data, "a")
    assert refusal.value.reason == "DATASET_MALFORMED"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=arrays.arrays(
        st.sampled_from([np.dtype(name) for name in ("f2", "f4", "f8", "u1", "i8", "?", "u2")]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    fortran=st.booleans(),
)
def test_what_numpy_writes_is_read_back(
    tmp_path: Path, array: NDArray[np.generic], fortran: bool
) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(array) if fortran else array)
    found = parse_npy((tmp_path / "a.npy").read_bytes(), "a")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array.reshape(found.shape))
    assert found.shape == np.load(tmp_path / "a.npy").shape


SMALL = npy(GOOD, struct.pack("<2f", 1.5, -2))


@settings(max_examples=200)
@given(at=st.integers(0, len(SMALL)), data=st.binary(max_size=6), cut=st.booleans())
def test_any_npy_is_read_or_refused(at: int, data: bytes, cut: bool) -> None:
    changed = SMALL[:at] + data + (b"" if cut else SMALL[at + len(data) :])
    with suppress(InvalidDatasetError):
        parse_npy(changed, "a")
