"""`python -m benchmarks.accuracy.digits`: scikit-learn's 1,797 scanned digits."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from benchmarks.accuracy.command import run
from benchmarks.accuracy.recipe import distillation
from benchmarks.accuracy.split import Split, split_images
from benchmarks.accuracy.trial import Subject
from examples.digits.data import BRIGHTEST
from examples.digits.model import DigitNet
from smidgen.config import QATConfig

TEST_COUNT = 500


def split(seed: int) -> Split:
    """Returns 1,297 digits to train on and 500 to test on."""
    images, labels = load_digits(return_X_y=True)
    scaled = (images / BRIGHTEST).astype(np.float32).reshape(-1, 1, 8, 8)
    return split_images(scaled, labels.astype(np.int64), TEST_COUNT, seed)


def config(seed: int) -> QATConfig:
    """Returns how to train with quantization simulated."""
    return distillation(epochs=10, fine_tune_epochs=2, seed=seed)


SUBJECT = Subject("digits", DigitNet, split, float_epochs=20, config=config)

if __name__ == "__main__":
    run(SUBJECT)
