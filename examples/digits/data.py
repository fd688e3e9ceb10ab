"""The handwritten digits that ship with scikit-learn, split once and for all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

TRAINING_COUNT = 1297
SPLIT_SEED = 20
BRIGHTEST = 16.0  # the scans hold values from 0 to 16


@dataclass(frozen=True, slots=True)
class Digits:
    """Images [N, 1, 8, 8] float32 in [0, 1] and labels [N] int64, for training and for testing."""

    training_images: NDArray[np.float32]
    training_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]

    def save_training(self, path: Path) -> None:
        """Writes the training split as the `.npz` that the service takes."""
        np.savez(path, inputs=self.training_images, labels=self.training_labels)

    def save_test(self, path: Path) -> None:
        """Writes the test split as the `.npz` that the service takes."""
        np.savez(path, inputs=self.test_images, labels=self.test_labels)


def load_split() -> Digits:
    """Returns 1,297 digits to train on and 500 to test on, the same ones each time."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    images = (images[order] / BRIGHTEST).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = labels[order].astype(np.int64)
    return Digits(
        training_images=images[:TRAINING_COUNT],
        training_labels=labels[:TRAINING_COUNT],
        test_images=images[TRAINING_COUNT:],
        test_labels=labels[TRAINING_COUNT:],
    )
