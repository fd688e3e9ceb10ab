"""The demo's own model: equal bytes on every instruction set and thread count, and its accuracy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import smidgen
from examples.digits import model as digits_model
from examples.digits.data import Digits, load_split
from smidgen.config import QATConfig
from smidgen.engine import Engine, available_isas
from smidgen.formats.dataset import Dataset
from smidgen.pipeline import Conversion
from smidgen.program import interpret

IMAGES = 33  # not a multiple of any tile
FIRST_LABELS = [9, 3, 2, 3, 9, 8, 2, 9, 6, 1, 6, 3]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_split()


@pytest.fixture(scope="module")
def conversion(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    path = tmp_path_factory.mktemp("digits") / "digits.pt2"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits_model, "EPOCHS", 4)
        model = digits_model.train(digits, lambda _epoch, _loss: None)
    digits_model.export(model, path)
    training = Dataset(
        {"inputs": digits.training_images, "labels": digits.training_labels},
        len(digits.training_images),
    )
    test = Dataset(
        {"inputs": digits.test_images, "labels": digits.test_labels}, len(digits.test_images)
    )
    config = QATConfig(epochs=1, fine_tune_epochs=1, batch_size=64)
    return smidgen.quantize(path, training, training=training, config=config, evaluation=test)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("isa", available_isas())
def test_equal_bytes(conversion: Conversion, digits: Digits, isa: str, threads: int) -> None:
    images = digits.test_images[:IMAGES]
    expected = interpret(conversion.program, {"image": images})
    found = Engine(conversion.program, threads=threads, isa=isa).run_all({"image": images})
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


def test_accuracy_is_kept(conversion: Conversion) -> None:
    report = conversion.report
    assert report.float_accuracy is not None
    assert report.quantized_accuracy is not None
    assert report.float_accuracy > 0.95
    assert report.quantized_accuracy >= report.float_accuracy - 0.005


def test_the_artifact_is_small(conversion: Conversion) -> None:
    report = conversion.report
    assert report.artifact_bytes <= 0.30 * report.float_bytes


def test_the_split_never_changes(digits: Digits) -> None:
    assert digits.training_images.shape == (1297, 1, 8, 8)
    assert digits.test_images.shape == (500, 1, 8, 8)
    assert digits.test_labels[:12].tolist() == FIRST_LABELS
    assert np.bincount(digits.test_labels).min() >= 40


def test_predict_takes_the_largest_logit() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Identity())
    images = np.eye(3, dtype=np.float32).reshape(3, 1, 1, 3)
    assert digits_model.predict(model, images).tolist() == [0, 1, 2]
