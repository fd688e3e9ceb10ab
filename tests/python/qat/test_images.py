"""Training on images: the bytes of training on arrays, and what is drawn comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen import pipeline
from smidgen.config import Augmentation, Extent, Preprocessing, QATConfig
from smidgen.data.opening import AnyDataset, open_dataset, source_of
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.profile import CalibrationProfile
from smidgen.progress import TrainingProgress
from smidgen.qat.trained import TrainedModel, save_trained
from tests.python.data.image_files import pictures, write_shard

CONFIG = QATConfig(epochs=2, fine_tune_epochs=1, batch_size=8, seed=5, evaluation_fraction=0.2)
AUGMENTATION = Augmentation(flip=True, least_area=0.4)
PREPROCESSING = Preprocessing(resize=Extent(8, 8), mean=(0.4,), std=(0.2,))
IMAGES = pictures(40, 10, 9)
LABELS = np.random.default_rng(2).integers(0, 3, 40)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        y: torch.Tensor = self.head(x)
        return y


@pytest.fixture(scope="module")
def model(import_model: Callable[..., FloatModel]) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Net(), (3, 8, 8))


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shard(tmp_path_factory.mktemp("shards") / "shard.tar", IMAGES, LABELS)


@pytest.fixture(scope="module")
def profile(model: FloatModel, shard: Path) -> CalibrationProfile:
    dataset = open_dataset(shard, preprocessing=PREPROCESSING)
    inputs = model.exported.inputs
    return pipeline.calibrate(model, pipeline.calibration_batches(dataset, inputs))


def train(model: FloatModel, profile: CalibrationProfile, dataset: AnyDataset) -> TrainedModel:
    return pipeline.train_qat(model, profile, dataset, CONFIG)


def saved(trained: TrainedModel, path: Path) -> bytes:
    save_trained(trained, path)
    return path.read_bytes()


def test_a_shard_trains_to_the_bytes_of_its_samples(
    model: FloatModel, profile: CalibrationProfile, shard: Path, tmp_path: Path
) -> None:
    images = open_dataset(shard, preprocessing=PREPROCESSING)
    rows = source_of(images, model.exported.inputs).rows(np.arange(40))
    (name,) = rows.inputs
    arrays = Dataset({name: rows.inputs[name], "labels": LABELS}, 40)
    of_images = saved(train(model, profile, images), tmp_path / "images")
    assert of_images == saved(train(model, profile, arrays), tmp_path / "arrays")
    batches = pipeline.calibration_batches(arrays, model.exported.inputs)
    assert pipeline.calibrate(model, batches).to_json() == profile.to_json()


def test_augmented_training_is_repeated_to_the_byte(
    model: FloatModel, profile: CalibrationProfile, shard: Path, tmp_path: Path
) -> None:
    results, losses = [], []
    for augmentation in (AUGMENTATION, AUGMENTATION, None):
        dataset = open_dataset(shard, preprocessing=PREPROCESSING, augmentation=augmentation)
        seen: list[TrainingProgress] = []
        trained = pipeline.train_qat(model, profile, dataset, CONFIG, on_progress=seen.append)
        results.append(saved(trained, tmp_path / "trained"))
        losses.append([progress.task_loss for progress in seen])
    assert results[0] == results[1]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_a_conversion_records_the_preprocessing_of_its_evaluation(
    model: FloatModel, profile: CalibrationProfile, shard: Path
) -> None:
    evaluation = open_dataset(shard, preprocessing=PREPROCESSING)
    conversion = pipeline.convert(model, profile, evaluation=evaluation)
    assert conversion.program.preprocessing == PREPROCESSING
    assert conversion.report.float_accuracy is not None
    assert pipeline.convert(model, profile).program.preprocessing is None
