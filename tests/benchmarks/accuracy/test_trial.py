"""One seed of an accuracy benchmark, on a net that trains in a second."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.accuracy.digits import SUBJECT
from benchmarks.accuracy.split import Split, split_images
from benchmarks.accuracy.trial import FORMS, Subject, run_trial
from smidgen.config import QATConfig


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(72, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(image)
        return logits


def _small_split(seed: int) -> Split:
    whole = SUBJECT.split(seed)
    return Split(
        whole.training_images[:320],
        whole.training_labels[:320],
        whole.test_images[:100],
        whole.test_labels[:100],
    )


def test_every_form_is_tested() -> None:
    config = QATConfig(epochs=1, fine_tune_epochs=0)
    subject = Subject("small", _Net, _small_split, float_epochs=40, config=lambda _: config)
    trial = run_trial(subject, 3)
    assert (trial.seed, trial.test_count) == (3, 100)
    assert set(trial.correct) == set(FORMS)
    assert min(trial.correct.values()) > 50
    assert trial.size_shares["W4A8"] < trial.size_shares["int8"]


def test_a_split_uses_each_image_once() -> None:
    images = np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1)
    split = split_images(images, np.arange(10), 3, seed=1)
    assert len(split.test_labels) == 3
    together = np.concatenate([split.training_labels, split.test_labels])
    assert sorted(together.tolist()) == list(range(10))
    assert split.test_images.ravel().tolist() == split.test_labels.tolist()
    other = split_images(images, np.arange(10), 3, seed=2)
    assert other.test_labels.tolist() != split.test_labels.tolist()
