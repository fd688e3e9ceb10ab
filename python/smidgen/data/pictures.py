"""Decoded images by their numbers, from an archive or from an array."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smidgen.data.decode import as_channels
from smidgen.errors import InvalidDatasetError
from smidgen.formats.dataset import ONLY_INPUT, Dataset
from smidgen.formats.dataset_digest import dataset_sha256


class Pictures(Protocol):
    """Decoded images by their numbers."""

    @property
    def sample_count(self) -> int:
        """The number of images."""

    @property
    def labels(self) -> NDArray[np.generic] | None:
        """All labels, or None where there are none."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, by their number; empty where nobody said."""

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
                "height, width and 1 or 3 channels. Move its axes, or give grey images a last axis "
                'of 1, and the preprocessing "channels": 1 if the model takes one.',
                reason="DATASET_SHAPE_MISMATCH",
                input=input_name,
            )
        self._dataset = dataset
        self._pixels: NDArray[Any] = found
        self.sample_count = dataset.sample_count
        self.labels = dataset.labels
        self.class_names: tuple[str, ...] = ()

    def name(self, index: int) -> str:
        """Returns what to call an image in errors."""
        return f"Image {index}"

    def picture(self, index: int, channels: int) -> NDArray[np.uint8]:
        """Returns one image, [height, width, channels]."""
        return as_channels(self._pixels[index], channels)

    def digest(self) -> str:
        """Returns a SHA-256 of all images and labels."""
        return dataset_sha256(self._dataset)
