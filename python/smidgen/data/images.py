"""Data sets of images: pictures from an archive or an array, and what is done to them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smidgen.config import Augmentation, Preprocessing
from smidgen.data.augment import Draw
from smidgen.data.decode import as_channels
from smidgen.data.preprocess import augment, check_takes_images, model_extent, preprocess
from smidgen.data.source import Rows
from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import ONLY_INPUT, Dataset
from smidgen.tensor_spec import TensorSpec


class Pictures(Protocol):
    """Decoded images by their numbers."""

    @property
    def sample_count(self) -> int:
        """The number of images."""

    @property
    def labels(self) -> NDArray[np.generic] | None:
        """All labels, or None where there are none."""

    def name(self, index: int) -> str:
        """Returns what to call an image in errors."""

    def picture(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Returns one image, [height, width, channels]."""

    def digest(self) -> str:
        """Returns a SHA-256 of all images and labels."""


class PixelArray:
    """Images that are in an array of bytes, [N, height, width, 1 or 3].

    Args:
        dataset: Has the array, named as the input or `inputs`, and maybe labels.
        input_name: The model's input.

    Raises:
        InvalidDatasetError: DATASET_INPUT_MISSING, DATASET_UNSUPPORTED_DTYPE or
            DATASET_SHAPE_MISMATCH.
    """

    def __init__(self, dataset: Dataset, input_name: str) -> None:
        found = dataset.arrays.get(input_name, dataset.arrays.get(ONLY_INPUT))
        if found is None:
            raise InvalidDatasetError(
                f"The data set has no array {input_name!r} or {ONLY_INPUT!r}; it has "
                f"{', '.join(dataset.arrays)}. Name the array of images so.",
                reason="DATASET_INPUT_MISSING",
                input=input_name,
            )
        if found.dtype != np.uint8:
            raise InvalidDatasetError(
                f"The array of images has elements of type {found.dtype}, expected uint8 where a "
                "preprocessing is given. Save the pixels as they are.",
                reason="DATASET_UNSUPPORTED_DTYPE",
                input=input_name,
            )
        if found.ndim != 4 or found.shape[3] not in (1, 3) or 0 in found.shape:
            raise InvalidDatasetError(
                f"The array of images has the shape {list(found.shape)}, expected samples, "
                "height, width and 1 or 3 channels. Move its axes.",
                reason="DATASET_SHAPE_MISMATCH",
                input=input_name,
            )
        self._pixels: NDArray[Any] = found
        self.sample_count = dataset.sample_count
        self.labels = dataset.labels

    def name(self, index: int) -> str:
        """Returns what to call an image in errors."""
        return f"Image {index}"

    def picture(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Returns one image, [height, width, channels]."""
        return as_channels(self._pixels[index], channels)

    def digest(self) -> str:
        """Returns a SHA-256 of all images and labels."""
        digest = hashlib.sha256(f"{self._pixels.shape}".encode())
        digest.update(np.ascontiguousarray(self._pixels).data)
        if self.labels is not None:
            digest.update(f"\0{self.labels.dtype.name}\0{self.labels.shape}\0".encode())
            digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ImageDataset:
    """Images and what is done to them.

    Attributes:
        images: An archive's images, or arrays with pixels of type uint8.
        preprocessing: What is done to each of them.
        augmentation: What is drawn anew for each epoch of training; None for nothing.
    """

    images: Pictures | Dataset
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
        images = dataset.images
        self._pictures = (
            PixelArray(images, self._spec.name) if isinstance(images, Dataset) else images
        )
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
