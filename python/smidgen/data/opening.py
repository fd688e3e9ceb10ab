"""Opening data sets of every format, and binding them to a model's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from smidgen.config import Augmentation, Preprocessing
from smidgen.data.encoded_images import EncodedImages
from smidgen.data.image_zip import read_image_zip
from smidgen.data.images import ImageDataset, ImageSource
from smidgen.data.joined import JoinedDataset, JoinedPictures, JoinedSource
from smidgen.data.pictures import Pictures
from smidgen.data.source import ArraySource, SampleSource
from smidgen.data.web_dataset import read_web_dataset
from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import Dataset, DatasetFormat, format_of, read_dataset
from smidgen.tensor_spec import TensorSpec

AnyDataset: TypeAlias = Dataset | JoinedDataset | ImageDataset
"""Samples that are not bound to a model yet."""

_READERS = {
    DatasetFormat.WEB_DATASET: read_web_dataset,
    DatasetFormat.IMAGE_ZIP: read_image_zip,
}


def open_dataset(
    path: str | Path,
    dataset_format: DatasetFormat | None = None,
    *,
    preprocessing: Preprocessing | None = None,
    augmentation: Augmentation | None = None,
) -> AnyDataset:
    """Opens a data set of any format.

    Args:
        path: The file, or a folder with nothing but shards of one format: files that are joined in
            the order of their names. They must not change while the data set is in use.
        dataset_format: Its format. Default: what its extension says.
        preprocessing: What to do to its images. Archives of images need one; arrays are taken as
            they are without it, and as pixels of type uint8 with it.
        augmentation: What is drawn anew for each epoch of training.

    Raises:
        InvalidDatasetError: The file is malformed, or PREPROCESSING_MISSING.
    """
    path = Path(path)
    shards = shards_of(path) if path.is_dir() else [path]
    return open_shards(
        shards,
        dataset_format or format_of(shards[0]),
        preprocessing=preprocessing,
        augmentation=augmentation,
    )


def open_shards(
    shards: Sequence[Path],
    dataset_format: DatasetFormat,
    *,
    preprocessing: Preprocessing | None = None,
    augmentation: Augmentation | None = None,
) -> AnyDataset:
    """Opens files of one format as one data set.

    Args:
        shards: The files in order, at least one. They must not change while the data set is in use.
        dataset_format: Their format.
        preprocessing: As of open_dataset.
        augmentation: As of open_dataset.

    Raises:
        InvalidDatasetError: A file is malformed, they do not go together, or PREPROCESSING_MISSING.
    """
    if preprocessing is None:
        if dataset_format.holds_images or augmentation is not None:
            raise InvalidDatasetError(
                f"The data set is {dataset_format} and there is no preprocessing, which says how "
                "its images become the input of a model. Give one.",
                reason="PREPROCESSING_MISSING",
            )
        return _arrays(shards, dataset_format)
    images: Pictures | Dataset | JoinedDataset
    if dataset_format.holds_images:
        images = read_pictures(shards, dataset_format)
    else:
        images = _arrays(shards, dataset_format)
    return ImageDataset(images, preprocessing, augmentation)


def shards_of(folder: Path) -> list[Path]:
    """Returns the files of a data set that is a folder, in the order of their names.

    Raises:
        InvalidDatasetError: DATASET_BAD_FOLDER.
    """
    shards = sorted(folder.iterdir())
    if not shards or len({shard.suffix for shard in shards}) > 1:
        raise InvalidDatasetError(
            f"{folder} has {len(shards)} files, expected at least one, and all of one format. "
            "Put the shards of a data set into a folder of their own.",
            reason="DATASET_BAD_FOLDER",
            path=str(folder),
        )
    return shards


def _arrays(shards: Sequence[Path], dataset_format: DatasetFormat) -> Dataset | JoinedDataset:
    parts = [read_dataset(shard, dataset_format) for shard in shards]
    return parts[0] if len(parts) == 1 else JoinedDataset(parts)


def read_pictures(shards: Sequence[Path], dataset_format: DatasetFormat) -> Pictures:
    """Finds the images of all shards.

    Args:
        shards: The archives in order, at least one. They must not change while in use.
        dataset_format: One that holds images.

    Raises:
        InvalidDatasetError: One is malformed, or they do not go together.
    """
    parts = [read_images(shard, dataset_format) for shard in shards]
    return parts[0] if len(parts) == 1 else JoinedPictures(parts)


def read_images(path: Path, dataset_format: DatasetFormat) -> EncodedImages:
    """Finds the images of an archive.

    Args:
        path: The archive. It must not change while the images are in use.
        dataset_format: One that holds images.

    Raises:
        InvalidDatasetError: The archive is malformed.
    """
    return _READERS[dataset_format](path)


def source_of(dataset: AnyDataset, inputs: Sequence[TensorSpec]) -> SampleSource:
    """Returns the samples as a model with these inputs takes them.

    Raises:
        InvalidDatasetError: They do not fit the inputs.
    """
    if isinstance(dataset, ImageDataset):
        return ImageSource(dataset, inputs)
    if isinstance(dataset, JoinedDataset):
        return JoinedSource(dataset, inputs)
    return ArraySource(dataset, inputs)
