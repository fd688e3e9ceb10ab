"""Real images with labels, split anew for each seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Split:
    """Images [N, 1, H, W] float32 in [0, 1] and labels [N] int64.

    Nothing but the final accuracies is measured on the test images: what chooses among epochs is
    held out of the training images.
    """

    training_images: NDArray[np.float32]
    training_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]

    @property
    def training(self) -> Dataset:
        """The training images as train_qat takes them."""
        arrays: dict[str, NDArray[Any]] = {
            "inputs": self.training_images,
            "labels": self.training_labels,
        }
        return Dataset(arrays, len(self.training_labels))


def split_images(
    images: NDArray[np.float32], labels: NDArray[np.int64], test_count: int, seed: int
) -> Split:
    """Draws the test images by the seed."""
    order = np.random.default_rng(seed).permutation(len(images))
    test, training = order[:test_count], order[test_count:]
    return Split(images[training], labels[training], images[test], labels[test])
