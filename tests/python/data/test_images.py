"""Every format gives the samples that arrays give, and nothing else than was asked for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from smidgen.config import Augmentation, Extent, ImageLayout, Preprocessing
from smidgen.data.images import ImageDataset
from smidgen.data.opening import open_dataset, source_of
from smidgen.data.source import SampleSource, source_batches
from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec
from tests.python.data.image_files import encode, pictures, write_shard, write_zip

IMAGE = TensorSpec("image", "float32", (None, 3, 6, 8))
IMAGES = pictures(10)
LABELS = np.array([2, 0, 1, 1, 0, 2, 2, 2, 0, 1])
PREPROCESSING = Preprocessing(resize=Extent(6, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
AUGMENTATION = Augmentation(flip=True, least_area=0.3)


def _arrays(augmentation: Augmentation | None = None) -> SampleSource:
    dataset = Dataset({"inputs": IMAGES, "labels": LABELS}, len(IMAGES))
    return source_of(ImageDataset(dataset, PREPROCESSING, augmentation), [IMAGE])


def _shard(tmp_path: Path, augmentation: Augmentation | None = None) -> SampleSource:
    path = write_shard(tmp_path / "shard.tar", IMAGES, LABELS)
    opened = open_dataset(path, preprocessing=PREPROCESSING, augmentation=augmentation)
    return source_of(opened, [IMAGE])


@pytest.mark.parametrize("augmentation", [None, AUGMENTATION], ids=["plain", "augmented"])
def test_a_shard_gives_the_samples_of_arrays(
    tmp_path: Path, augmentation: Augmentation | None
) -> None:
    expected, found = _arrays(augmentation), _shard(tmp_path, augmentation)
    places = np.array([7, 0, 7, 3])
    for epoch in (None, 1, 2):
        ours = found.rows(places, epoch=epoch, seed=5)
        theirs = expected.rows(places, epoch=epoch, seed=5)
        np.testing.assert_array_equal(ours.inputs["image"], theirs.inputs["image"])
        assert ours.labels is not None
        np.testing.assert_array_equal(ours.labels, LABELS[places])
    assert (found.sample_count, found.has_labels) == (10, True)
    assert found.is_augmented == (augmentation is not None)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_folders_of_a_zip_are_classes(tmp_path: Path, method: int) -> None:
    names = ("cat", "dog", "yak")
    members = {f"{name}/": b"" for name in names} | {
        f"{names[label]}/{number}.png": encode(pixels)
        for number, (pixels, label) in enumerate(zip(IMAGES, LABELS, strict=True))
    }
    path = write_zip(tmp_path / "folders.zip", members, method)
    source = source_of(open_dataset(path, preprocessing=PREPROCESSING), [IMAGE])
    order = np.argsort(LABELS, kind="stable")  # the names of the files go up with their numbers
    rows = source.rows(np.arange(10))
    assert rows.labels is not None
    np.testing.assert_array_equal(rows.labels, LABELS[order])
    expected = _arrays().rows(order).inputs["image"]
    np.testing.assert_array_equal(rows.inputs["image"], expected)


def test_values_are_scaled_by_the_definition(tmp_path: Path) -> None:
    plain = Preprocessing(mean=(0.5,), std=(0.25,), layout=ImageLayout.NHWC)
    spec = TensorSpec("image", "float32", (None, 9, 12, 3))
    path = write_shard(tmp_path / "shard.tar", IMAGES, None)
    found = source_of(open_dataset(path, preprocessing=plain), [spec]).rows(np.arange(10))
    expected = ((IMAGES * (1 / 255) - 0.5) / 0.25).astype(np.float32)
    np.testing.assert_array_equal(found.inputs["image"], expected)
    assert found.labels is None


def test_augmentation_depends_on_seed_epoch_and_sample_alone(tmp_path: Path) -> None:
    source = _shard(tmp_path, AUGMENTATION)
    alone = source.rows(np.array([4]), epoch=3, seed=1).inputs["image"][0]
    among = source.rows(np.array([9, 4]), epoch=3, seed=1).inputs["image"][1]
    np.testing.assert_array_equal(alone, among)
    for epoch, seed in ((4, 1), (3, 2)):
        other = source.rows(np.array([4]), epoch=epoch, seed=seed).inputs["image"][0]
        assert not np.array_equal(alone, other)


def test_a_flip_mirrors_half_of_the_images() -> None:
    plain = _arrays().rows(np.arange(10)).inputs["image"]
    source = _arrays(Augmentation(flip=True))
    flipped = 0
    for epoch in range(20):
        found = source.rows(np.arange(10), epoch=epoch).inputs["image"]
        for ours, theirs in zip(found, plain, strict=True):
            if not np.array_equal(ours, theirs):
                np.testing.assert_array_equal(ours, theirs[:, :, ::-1])
                flipped += 1
    assert 70 <= flipped <= 130


def test_batches_leave_a_short_one_out_where_asked() -> None:
    source = _arrays()
    sizes = [len(rows.inputs["image"]) for rows in source_batches(source, 4)]
    whole = [len(rows.inputs["image"]) for rows in source_batches(source, 4, only_whole=True)]
    assert (sizes, whole) == ([4, 4, 2], [4, 4])


def test_digests_tell_what_samples_depend_on(tmp_path: Path) -> None:
    digests = {_shard(tmp_path).digest(), _shard(tmp_path, AUGMENTATION).digest()}
    digests |= {_arrays().digest(), _arrays(AUGMENTATION).digest()}
    assert len(digests) == 4
    assert _shard(tmp_path).digest() == _shard(tmp_path).digest()


@pytest.mark.parametrize(
    ("spec", "preprocessing"),
    [
        (TensorSpec("image", "float32", (None, 1, 6, 8)), PREPROCESSING),
        (TensorSpec("image", "float32", (None, 3, 7, 8)), PREPROCESSING),
        (TensorSpec("image", "int64", (None, 3, 6, 8)), PREPROCESSING),
        (TensorSpec("image", "float32", (None, 3)), PREPROCESSING),
        (TensorSpec("image", "float32", (None, 3, None, 8)), Preprocessing()),
        (IMAGE, Preprocessing(input="other", resize=Extent(6, 8))),
    ],
    ids=["channels", "height", "type", "rank", "open", "name"],
)
def test_inputs_that_take_no_such_images_are_refused(
    spec: TensorSpec, preprocessing: Preprocessing
) -> None:
    dataset = Dataset({"inputs": IMAGES}, len(IMAGES))
    with pytest.raises(InvalidDatasetError) as caught:
        source_of(ImageDataset(dataset, preprocessing), [spec])
    assert caught.value.reason == "PREPROCESSING_MISMATCH"


def test_the_channels_that_an_input_takes_are_named() -> None:
    grey, dataset = TensorSpec("x", "float32", (None, 1, 6, 8)), Dataset({"inputs": IMAGES}, 1)
    for spec, channels, words in (
        (grey, 3, 'makes coloured images; set its "channels" to 1 for grey ones'),
        (IMAGE, 1, 'makes grey images; set its "channels" to 3 for coloured ones'),
    ):
        with pytest.raises(InvalidDatasetError, match=words) as caught:
            source_of(ImageDataset(dataset, Preprocessing(channels=channels)), [spec])
        assert caught.value.reason == "PREPROCESSING_MISMATCH"


def test_grey_arrays_without_an_axis_of_channels_are_told_so() -> None:
    dataset = Dataset({"inputs": IMAGES[..., 0]}, len(IMAGES))
    with pytest.raises(InvalidDatasetError, match=r'a last axis of 1, .* "channels": 1'):
        source_of(ImageDataset(dataset, PREPROCESSING), [IMAGE])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (IMAGES.astype(np.float32), "DATASET_UNSUPPORTED_DTYPE"),
        (IMAGES[..., :2], "DATASET_SHAPE_MISMATCH"),
        (IMAGES[0], "DATASET_SHAPE_MISMATCH"),
    ],
)
def test_arrays_that_are_no_pixels_are_refused(array: np.ndarray, reason: str) -> None:
    dataset = Dataset({"inputs": array}, len(array))
    with pytest.raises(InvalidDatasetError) as caught:
        source_of(ImageDataset(dataset, PREPROCESSING), [IMAGE])
    assert caught.value.reason == reason


def test_images_of_another_size_are_refused_when_they_are_read() -> None:
    dataset = ImageDataset(Dataset({"inputs": IMAGES}, len(IMAGES)), Preprocessing())
    with pytest.raises(InvalidDatasetError) as caught:
        source_of(dataset, [IMAGE]).rows(np.array([1]))
    assert caught.value.reason == "IMAGE_SIZE_MISMATCH"


def test_images_without_a_preprocessing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        open_dataset(write_shard(tmp_path / "shard.tar", IMAGES, LABELS))
    assert caught.value.reason == "PREPROCESSING_MISSING"
