"""What conversions remember of their calibration, and how production's values compare with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from smidgen import pipeline
from smidgen.artifact import encode_artifact
from smidgen.config import (
    CalibrationConfig,
    ConversionConfig,
    ObserverMethod,
    PostTrainingConfig,
    QATConfig,
)
from smidgen.engine import Engine
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.health.examiner import Examiner
from smidgen.health.findings import Findings
from smidgen.profile import CalibrationProfile
from smidgen.program import HealthReference, Program
from smidgen.program.health_reference import MOST_CELLS, TOTAL

ImportModel = Callable[..., FloatModel]
COUNT = 256


class Net(nn.Module):
    """Ten layers, of which some end in a ReLU or a ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU6()]
        for _ in range(8):
            layers += [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(image))


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    return import_model(Net(), (3, 8, 8))


def images(seed: int, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def profile(model: FloatModel) -> CalibrationProfile:
    return pipeline.calibrate(model, [{"image": images(0)}])


@pytest.fixture(scope="module")
def program(model: FloatModel, profile: CalibrationProfile) -> Program:
    return pipeline.convert(model, profile).program


def reference_of(program: Program) -> HealthReference:
    assert program.health is not None
    return program.health


def found(program: Program, given: np.ndarray) -> Findings:
    engine, examiner = Engine(program), Examiner(program)
    total: Findings | None = None
    for image in given:
        inputs = {"image": np.ascontiguousarray(image[None])}
        one = examiner.examine(inputs, engine.run(inputs)["output"])
        total = one if total is None else total.joined(one)
    assert total is not None
    return total


def test_the_input_and_layers_at_even_distances_are_watched(program: Program) -> None:
    watched = reference_of(program).watched
    assert [one.label for one in watched] == [
        "0:image",
        "1:body.0",
        "2:body.2",
        "4:body.8",
        "5:body.11",
        "7:body.17",
        "8:body.20",
        "10:body.26",
        "12:head",
    ]
    for one in watched:
        assert sum(one.counts) == TOTAL
        assert one.cells <= MOST_CELLS
        assert one.clipped == 0.0  # the range of min_max has all values


def test_fused_activations_are_named(program: Program) -> None:
    bounds = {bounds: len(tensors) for bounds, tensors in reference_of(program).bounds}
    assert bounds == {(0.0, 6.0): 1, (0.0, np.inf): 8}


def test_it_takes_a_few_hundred_bytes_a_tensor(program: Program) -> None:
    plain = replace(program, health=None)
    added = len(encode_artifact(program)) - len(encode_artifact(plain))
    assert added < 9 * 350
    text = json.dumps(reference_of(program).to_document())
    assert HealthReference.from_document(json.loads(text)) == program.health


def test_samples_like_those_of_calibration_do_not_drift(program: Program) -> None:
    clean = found(program, images(1, 64))
    assert max(one.drift for one in clean.tensors) < 0.03
    assert max(one.clipped_ratio for one in clean.tensors) < 0.01
    brighter = found(program, images(1, 64) + np.float32(2))
    assert brighter.tensors[0].drift > 0.3
    assert brighter.tensors[0].clipped_ratio > 10 * clean.tensors[0].clipped_ratio


def test_a_method_that_clips_says_how_much(model: FloatModel, profile: CalibrationProfile) -> None:
    config = CalibrationConfig(ObserverMethod.PERCENTILE, percentile=99.0)
    clipping = pipeline.convert(model, profile.with_method(config)).program
    clipped = [one.clipped for one in reference_of(clipping).watched]
    assert 0.015 < clipped[0] < 0.025
    assert found(clipping, images(2, 64)).tensors[0].clipped_ratio == pytest.approx(
        clipped[0], abs=0.005
    )


def test_trained_and_equalized_programs_have_one_too(
    model: FloatModel, profile: CalibrationProfile
) -> None:
    samples = images(0)
    conversion = ConversionConfig(post_training=PostTrainingConfig(equalize=True))
    equalized = pipeline.convert(
        model, profile, samples={"image": samples}, config=conversion
    ).program
    labels = np.random.default_rng(0).integers(0, 4, COUNT)
    data = Dataset({"image": samples, "labels": labels}, COUNT)
    config = QATConfig(epochs=2, fine_tune_epochs=1)
    trained = pipeline.train_qat(model, profile, data, config)
    for program in (equalized, pipeline.convert(model, profile, trained).program):
        assert len(reference_of(program).watched) == 9
        assert max(one.drift for one in found(program, images(1, 64)).tensors) < 0.1


def test_without_statistics_there_is_none(model: FloatModel, profile: CalibrationProfile) -> None:
    assert pipeline.convert(model, profile.without_statistics()).program.health is None
