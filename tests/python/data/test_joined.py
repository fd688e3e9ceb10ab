"""Shards in a folder are one data set."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from smidgen.config import Augmentation, Extent, Preprocessing
from smidgen.data.images import ImageDataset
from smidgen.data.joined import check_alike, joined_digest
from smidgen.data.opening import open_dataset, source_of
from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec
from tests.python.data.image_files import encode, pictures, write_shard, write_zip

IMAGES = pictures(9)
LABELS = np.array([2, 0, 1, 1, 0, 2, 2, 2, 0])
IMAGE = TensorSpec("image", "float32", (None, 3, 6, 8))
PREPROCESSING = Preprocessing(resize=Extent(6, 8))
AUGMENTATION = Augmentation(flip=True, least_area=0.5)
PLACES = np.array([8, 0, 4, 4, 3, 2])
CUTS = (slice(0, 4), slice(4, 5), slice(5, 9))


def test_shards_of_images_give_what_one_shard_gives(tmp_path: Path) -> None:
    for number, cut in enumerate(CUTS):
        write_shard(tmp_path / f"{number}.tar", IMAGES[cut], LABELS[cut])
    opened = open_dataset(tmp_path, preprocessing=PREPROCESSING, augmentation=AUGMENTATION)
    whole = ImageDataset(
        Dataset({"inputs": IMAGES, "labels": LABELS}, 9), PREPROCESSING, AUGMENTATION
    )
    found, expected = source_of(opened, [IMAGE]), source_of(whole, [IMAGE])
    assert (found.sample_count, found.is_augmented) == (9, True)
    for epoch in (None, 3):
        ours, theirs = (source.rows(PLACES, epoch=epoch, seed=2) for source in (found, expected))
        np.testing.assert_array_equal(ours.inputs["image"], theirs.inputs["image"])
        assert ours.labels is not None
        np.testing.assert_array_equal(ours.labels, LABELS[PLACES])


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
@pytest.mark.parametrize("preprocessing", [None, PREPROCESSING], ids=["floats", "pixels"])
def test_shards_of_arrays_give_what_one_file_gives(
    suffix: str, preprocessing: Preprocessing | None, tmp_path: Path
) -> None:
    floats = np.random.default_rng(0).normal(size=(9, 3, 6, 8)).astype(np.float32)
    values = floats if preprocessing is None else IMAGES
    for number, cut in enumerate(CUTS):
        path = tmp_path / f"{number}.{suffix}"
        arrays = {"inputs": values[cut], "labels": LABELS[cut]}
        if suffix == "npz":
            np.savez(path, **arrays)
        else:
            save_file(arrays, path)
    found = source_of(open_dataset(tmp_path, preprocessing=preprocessing), [IMAGE])
    whole = Dataset({"inputs": values, "labels": LABELS}, 9)
    expected = source_of(
        whole if preprocessing is None else ImageDataset(whole, preprocessing), [IMAGE]
    )
    rows = found.rows(PLACES)
    np.testing.assert_array_equal(rows.inputs["image"], expected.rows(PLACES).inputs["image"])
    assert rows.labels is not None
    np.testing.assert_array_equal(rows.labels, LABELS[PLACES])
    assert found.digest() != expected.digest()
    assert len(found.digest()) == 64


def _refusal(folder: Path, preprocessing: Preprocessing | None = None) -> str:
    with pytest.raises(InvalidDatasetError) as caught:
        source_of(open_dataset(folder, preprocessing=preprocessing), [IMAGE])
    return caught.value.reason


def test_folders_that_are_no_data_set_are_refused(tmp_path: Path) -> None:
    assert _refusal(tmp_path) == "DATASET_BAD_FOLDER"
    np.savez(tmp_path / "0.npz", inputs=np.zeros((2, 3, 6, 8), np.float32))
    (tmp_path / "read.me").write_text("hello")
    assert _refusal(tmp_path) == "DATASET_BAD_FOLDER"


def test_shards_that_differ_are_refused(tmp_path: Path) -> None:
    inputs = np.zeros((2, 3, 6, 8), np.float32)
    np.savez(tmp_path / "0.npz", inputs=inputs, labels=np.zeros(2, np.int64))
    np.savez(tmp_path / "1.npz", inputs=inputs)
    assert _refusal(tmp_path) == "DATASET_LABELS_INCOMPLETE"
    np.savez(tmp_path / "1.npz", inputs=inputs, labels=np.zeros(2, np.float32))
    assert _refusal(tmp_path) == "DATASET_SHAPE_MISMATCH"
    np.savez(tmp_path / "1.npz", inputs=inputs[:, :, :5], labels=np.zeros(2, np.int64))
    assert _refusal(tmp_path) == "DATASET_SHAPE_MISMATCH"


def test_archives_of_other_classes_are_refused(tmp_path: Path) -> None:
    write_zip(tmp_path / "0.zip", {"cat/0.png": encode(IMAGES[0])})
    write_zip(tmp_path / "1.zip", {"dog/0.png": encode(IMAGES[1])})
    assert _refusal(tmp_path, PREPROCESSING) == "DATASET_CLASSES_DIFFER"


def specs(*arrays: tuple[str, str, tuple[int | None, ...]]) -> list[TensorSpec]:
    return [TensorSpec(name, dtype, shape) for name, dtype, shape in arrays]


IMAGES_OF_4 = ("inputs", "float32", (4, 3, 6, 8))
LABELS_OF_4 = ("labels", "int64", (4,))


def test_files_of_the_same_arrays_are_alike() -> None:
    check_alike([specs(IMAGES_OF_4, LABELS_OF_4)])
    check_alike(
        [specs(IMAGES_OF_4, LABELS_OF_4), specs(LABELS_OF_4, ("inputs", "float32", (9, 3, 6, 8)))]
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            ("inputs", "uint8", (4, 3, 6, 8)),
            r"'inputs' are uint8 \[3, 6, 8\] in shard 2, and float32 \[3, 6, 8\] in shard 0",
        ),
        (("inputs", "float32", (4, 3, 8, 6)), r"float32 \[3, 8, 6\] in shard 2"),
        (("inputs", "float32", (4, 3, None, 8)), r"float32 \[3, \?, 8\] in shard 2"),
        (("image", "float32", (4, 3, 6, 8)), r"'image' are float32 .* in shard 2, and missing in"),
    ],
)
def test_files_of_other_arrays_are_not_alike(
    other: tuple[str, str, tuple[int | None, ...]], message: str
) -> None:
    parts = [specs(IMAGES_OF_4), specs(IMAGES_OF_4), specs(other)]
    with pytest.raises(InvalidDatasetError, match=message) as caught:
        check_alike(parts)
    assert caught.value.reason == "DATASET_SHAPE_MISMATCH"
    assert caught.value.metadata["shard"] == "2"


def test_labels_are_in_all_files_or_in_none() -> None:
    with pytest.raises(InvalidDatasetError, match="1 of 2 files have labels") as caught:
        check_alike([specs(IMAGES_OF_4), specs(IMAGES_OF_4, LABELS_OF_4)])
    assert caught.value.reason == "DATASET_LABELS_INCOMPLETE"


def test_a_single_part_keeps_its_digest() -> None:
    assert joined_digest(["a" * 64]) == "a" * 64
    assert joined_digest(["a" * 64, "b" * 64]) != joined_digest(["b" * 64, "a" * 64])
    expected = hashlib.sha256(("a" * 64 + "\0" + "b" * 64).encode()).hexdigest()
    assert joined_digest(["a" * 64, "b" * 64]) == expected
