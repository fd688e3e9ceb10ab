"""Data sets of images: pictures from an archive or an array, and what is done to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.config import Augmentation, Preprocessing
from smidgen.data.augment import Draw
from smidgen.data.joined import JoinedDataset, JoinedPictures
from smidgen.data.pictures import Pictures, PixelArray
from smidgen.data.preprocess import augment, check_takes_images, model_extent, preprocess
from smidgen.data.source import Rows
from smidgen.formats.dataset import Dataset
from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class ImageDataset:
    """Images and what is done to them.

    Attributes:
        images: Images of archives, or arrays with pixels of type uint8.
        preprocessing: What is done to each of them.
        augmentation: What is drawn anew for each epoch of training; None for nothing.
    """

    images: Pictures | Dataset | JoinedDataset
    preprocessing: Preprocessing
    augmentation: Augmentation | None = None

    @property
    def sample_count(self) -> int:
        """The number of images."""
        return self.images.sample_count

    @property
    def labels(self) -> NDArray[np.generic] | None:
        """All labels, or None where there are none."""
        return self.images.labels


class ImageSource:
    """Images as a model takes them, read and decoded when they are asked for.

    Args:
        dataset: The images.
        specs: The model's inputs, of which there must be one.

    Raises:
        InvalidDatasetError: They do not fit the input.
    """

    def __init__(self, dataset: ImageDataset, specs: Sequence[TensorSpec]) -> None:
        self._spec = check_takes_images(specs, dataset.preprocessing)
        self._extent = model_extent(dataset.preprocessing, self._spec)
        self._preprocessing = dataset.preprocessing
        self._augmentation = dataset.augmentation
        self._pictures = _pictures(dataset.images, self._spec.name)
        self.sample_count = self._pictures.sample_count
        self.labels = self._pictures.labels

    @property
    def has_labels(self) -> bool:
        """Whether there are labels."""
        return self.labels is not None

    @property
    def is_augmented(self) -> bool:
        """Whether a sample differs from epoch to epoch."""
        return self._augmentation is not None

    def rows(self, indices: NDArray[np.int64], *, epoch: int | None = None, seed: int = 0) -> Rows:
        """Returns the samples of these numbers; only these are in memory."""
        samples = [self._sample(int(index), epoch, seed) for index in indices]
        labels = None if self.labels is None else self.labels[indices]
        return Rows({self._spec.name: np.stack(samples)}, labels)

    def digest(self) -> str:
        """Returns a SHA-256 of images, labels, preprocessing and augmentation."""
        document = {
            "preprocessing": self._preprocessing.to_document(),
            "augmentation": None if self._augmentation is None else asdict(self._augmentation),
            "images": self._pictures.digest(),
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def _sample(self, index: int, epoch: int | None, seed: int) -> NDArray[np.float32]:
        pixels = self._pictures.picture(index, self._preprocessing.channels)
        name = self._pictures.name(index)
        if self._augmentation is None or epoch is None:
            return preprocess(pixels, self._preprocessing, self._extent, name)
        return augment(
            pixels,
            self._preprocessing,
            self._extent,
            name,
            augmentation=self._augmentation,
            at=Draw(seed, epoch, index),
        )


def _pictures(images: Pictures | Dataset | JoinedDataset, input_name: str) -> Pictures:
    if isinstance(images, Dataset):
        return PixelArray(images, input_name)
    if isinstance(images, JoinedDataset):
        return JoinedPictures([PixelArray(part, input_name) for part in images.parts])
    return images
