"""Training on images: the bytes of training on arrays, and what is drawn comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen import pipeline
from smidgen.artifact import encode_artifact
from smidgen.config import (
    Augmentation,
    ConversionConfig,
    Extent,
    PostTrainingConfig,
    Preprocessing,
    QATConfig,
)
from smidgen.data.opening import AnyDataset, open_dataset, source_of
from smidgen.errors import ResumeError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.passes import fuse_for_inference
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stopped, TrainingProgress
from smidgen.qat.data import shuffled_batches
from smidgen.qat.task import make_task
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


@pytest.mark.parametrize("stop_at", [1, 6, 11])
def test_augmented_training_goes_on_to_the_same_bytes(
    model: FloatModel, profile: CalibrationProfile, shard: Path, tmp_path: Path, stop_at: int
) -> None:
    dataset = open_dataset(shard, preprocessing=PREPROCESSING, augmentation=AUGMENTATION)
    whole = saved(train(model, profile, dataset), tmp_path / "whole")
    checkpoint, asked = tmp_path / "checkpoint", iter(range(100))
    with pytest.raises(Stopped):
        pipeline.train_qat(
            *(model, profile, dataset, CONFIG),
            checkpoint=checkpoint,
            should_stop=lambda: next(asked) == stop_at,
        )
    again = open_dataset(shard, preprocessing=PREPROCESSING, augmentation=AUGMENTATION)
    trained = pipeline.train_qat(model, profile, again, CONFIG, resume=checkpoint)
    assert saved(trained, tmp_path / "resumed") == whole


@pytest.mark.parametrize(
    ("preprocessing", "augmentation"),
    [
        (PREPROCESSING, None),
        (PREPROCESSING, replace(AUGMENTATION, least_area=0.5)),
        (replace(PREPROCESSING, mean=(0.3,)), AUGMENTATION),
    ],
    ids=["none", "other_augmentation", "other_preprocessing"],
)
def test_training_does_not_go_on_with_other_images(
    model: FloatModel,
    profile: CalibrationProfile,
    shard: Path,
    tmp_path: Path,
    preprocessing: Preprocessing,
    augmentation: Augmentation | None,
) -> None:
    dataset = open_dataset(shard, preprocessing=PREPROCESSING, augmentation=AUGMENTATION)
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Stopped):
        pipeline.train_qat(
            *(model, profile, dataset, CONFIG), checkpoint=checkpoint, should_stop=lambda: True
        )
    other = open_dataset(shard, preprocessing=preprocessing, augmentation=augmentation)
    with pytest.raises(ResumeError) as caught:
        pipeline.train_qat(model, profile, other, CONFIG, resume=checkpoint)
    assert caught.value.metadata["parts"] == "data"


@pytest.mark.parametrize("augmentation", [AUGMENTATION, None], ids=["augmented", "plain"])
def test_the_float_model_teaches_what_it_makes_of_each_batch(
    model: FloatModel,
    profile: CalibrationProfile,
    shard: Path,
    augmentation: Augmentation | None,
) -> None:
    dataset = open_dataset(shard, preprocessing=PREPROCESSING, augmentation=augmentation)
    task = make_task(model, profile, dataset, CONFIG, evaluation=None)
    fused, outputs = fuse_for_inference(model.graph), []
    for epoch in (1, 2):
        for batch in shuffled_batches(task.training, 8, seed=CONFIG.seed, epoch=epoch):
            found = task.training_teacher(batch).output
            with torch.no_grad():
                torch.testing.assert_close(found, fused(*batch.inputs))
            outputs.append(found[batch.indices.argsort()])
    per_epoch = [torch.cat(outputs[:4]).sort(0).values, torch.cat(outputs[4:]).sort(0).values]
    assert len(outputs) == 8
    assert torch.allclose(*per_epoch) == (augmentation is None)


def test_images_are_converted_and_their_preprocessing_is_recorded_in_one_call(
    tmp_path: Path, shard: Path
) -> None:
    torch.manual_seed(0)
    shapes = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(_Net().eval(), (torch.zeros(2, 3, 8, 8),), dynamic_shapes=shapes)
    torch.export.save(exported, tmp_path / "net.pt2")
    calibration = open_dataset(shard, preprocessing=PREPROCESSING)
    conversion = pipeline.quantize(tmp_path / "net.pt2", calibration)
    assert conversion.program.preprocessing == PREPROCESSING


def test_weights_are_made_ready_on_images(
    model: FloatModel, profile: CalibrationProfile, shard: Path
) -> None:
    images = open_dataset(shard, preprocessing=PREPROCESSING)
    rows = source_of(images, model.exported.inputs).rows(np.arange(40))
    programs = [
        pipeline.convert(
            *(model, profile),
            config=ConversionConfig(PostTrainingConfig(True, True, True)),
            samples=samples,
            preprocessing=PREPROCESSING,
        ).program
        for samples in (images, rows.inputs)
    ]
    assert encode_artifact(programs[0]) == encode_artifact(programs[1])
    plain = pipeline.convert(model, profile, preprocessing=PREPROCESSING).program
    assert encode_artifact(plain) != encode_artifact(programs[0])


def test_a_conversion_records_the_preprocessing_of_its_evaluation(
    model: FloatModel, profile: CalibrationProfile, shard: Path
) -> None:
    evaluation = open_dataset(shard, preprocessing=PREPROCESSING)
    conversion = pipeline.convert(model, profile, evaluation=evaluation)
    assert conversion.program.preprocessing == PREPROCESSING
    assert conversion.report.float_accuracy is not None
    assert pipeline.convert(model, profile).program.preprocessing is None
