"""What a program loses against the float model, counted a second time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from smidgen.calibration import calibrate
from smidgen.config import ConversionConfig, GateConfig
from smidgen.data.opening import source_of
from smidgen.errors import GateError
from smidgen.fidelity import FloatReference
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.pipeline import convert

COUNT = 300  # more than a batch, and than what is compared without a gate


@pytest.fixture(scope="module")
def model(import_model: Callable[..., FloatModel]) -> FloatModel:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
    return import_model(net, (1, 6, 6))


@pytest.fixture(scope="module")
def samples() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(COUNT, 1, 6, 6)).astype(np.float32)


def _logits(model: FloatModel, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        return model.graph(torch.from_numpy(samples)).numpy()


def _other(
    model: FloatModel, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float32]]:
    return lambda batch: change(_logits(model, np.array(batch["input"])))


def test_lost_samples_with_labels(model: FloatModel, samples: NDArray[np.float32]) -> None:
    labels = np.random.default_rng(1).integers(0, 4, COUNT)
    source = source_of(Dataset({"input": samples, "labels": labels}, COUNT), model.exported.inputs)
    reference = FloatReference(model, source, most=8)
    found = reference.compare(_other(model, lambda logits: logits[:, ::-1]))
    logits = _logits(model, samples)
    right, left = (logits.argmax(1) == labels).sum(), (logits[:, ::-1].argmax(1) == labels).sum()
    assert found.parity.sample_count == COUNT
    assert found.lost == right - left
    assert (found.float_accuracy, found.quantized_accuracy) == (right / COUNT, left / COUNT)
    # The kept answers of the float model give the same once more.
    assert reference.compare(_other(model, lambda logits: logits[:, ::-1])) == found


def test_lost_samples_without_labels(model: FloatModel, samples: NDArray[np.float32]) -> None:
    source = source_of(Dataset({"input": samples}, COUNT), model.exported.inputs)
    logits = _logits(model, samples)
    found = FloatReference(model, source).compare(_other(model, lambda found: found[:, ::-1]))
    assert found.lost == (logits.argmax(1) != logits[:, ::-1].argmax(1)).sum()
    assert found.float_accuracy is None
    few = FloatReference(model, source, most=8).compare(_other(model, lambda found: found))
    assert (few.parity.sample_count, few.lost, few.sqnr_db) == (8, 0, math.inf)


def test_values_that_are_no_numbers_are_the_worst_ratio(
    model: FloatModel, samples: NDArray[np.float32]
) -> None:
    source = source_of(Dataset({"input": samples}, COUNT), model.exported.inputs)
    found = FloatReference(model, source).compare(_other(model, lambda found: found * np.nan))
    assert found.sqnr_db == -math.inf
    assert found.parity.output_sqnr_db is None


def held_to(gate: GateConfig) -> ConversionConfig:
    return ConversionConfig(gate=gate)


def test_conversions_are_held_to_all_samples(
    model: FloatModel, samples: NDArray[np.float32]
) -> None:
    profile = calibrate(model, [{"input": samples}])
    data = Dataset({"input": samples}, COUNT)
    free = convert(model, profile, evaluation=data).report
    assert free.gate is None
    report = convert(model, profile, evaluation=data, config=held_to(GateConfig(1.0, 5.0))).report
    assert report.gate is not None
    assert report.gate.sample_count == COUNT
    assert report.gate.sqnr_db is not None
    found = report.gate.sqnr_db
    with pytest.raises(GateError) as caught:
        convert(model, profile, evaluation=data, config=held_to(GateConfig(None, found + 1.0)))
    assert caught.value.metadata["missed_by"] == "1.00"
    limit = GateConfig(min_sqnr_db=found)
    assert convert(model, profile, evaluation=data, config=held_to(limit)).report.gate is not None
