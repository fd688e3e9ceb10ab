"""What a conversion proves about itself, counted a second time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from smidgen import certificate
from smidgen.calibration import calibrate
from smidgen.certificate import compared_count, float_compared_count
from smidgen.config import Activations
from smidgen.engine import Engine
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.pipeline import Conversion, convert
from smidgen.profile import CalibrationProfile
from smidgen.program.multiplications import total_multiplications
from smidgen.qat.comparison import compare_fake_quantized, run_freely
from smidgen.qat.prepare import prepare_qat
from smidgen.report import Distance
from tests.python.program.small_programs import every_step_program

ImportModel = Callable[..., FloatModel]
COUNT = 90


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8)
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.body(x).mean((2, 3)))
        return y


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Net(), (2, 9, 9))


@pytest.fixture(scope="module")
def profile(model: FloatModel) -> CalibrationProfile:
    return calibrate(model, [{"x": _samples(64, seed=1)}])


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    labels = np.random.default_rng(3).integers(0, 5, COUNT)
    return Dataset({"x": _samples(COUNT, seed=2), "labels": labels}, COUNT)


@pytest.fixture(scope="module")
def conversion(model: FloatModel, profile: CalibrationProfile, dataset: Dataset) -> Conversion:
    return convert(model, profile, evaluation=dataset)


def _samples(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2, 9, 9)).astype(np.float32)


def _together(layers: dict[str, Distance]) -> Distance:
    return Distance(
        max(layer.max_lsb for layer in layers.values()),
        sum(layer.differing for layer in layers.values()),
        sum(layer.elements for layer in layers.values()),
    )


def test_figures_against_the_float_model(
    model: FloatModel, conversion: Conversion, dataset: Dataset
) -> None:
    x, labels = dataset.arrays["x"], dataset.arrays["labels"]
    found = Engine(conversion.program).run({"x": x})["output"]
    with torch.no_grad():
        expected = model.graph(torch.from_numpy(np.array(x))).numpy()
    report = conversion.report
    assert report.parity is not None
    against = report.parity.float_model
    assert against is not None
    assert against.sample_count == COUNT
    same = sum(int(a.argmax()) == int(b.argmax()) for a, b in zip(found, expected, strict=True))
    assert against.top1_agreement == same / COUNT
    noise = float(((expected - found).astype(np.float64) ** 2).mean())
    signal = float((expected.astype(np.float64) ** 2).mean())
    assert against.output_sqnr_db == pytest.approx(10 * math.log10(signal / noise), abs=1e-3)
    assert report.float_accuracy == float((expected.argmax(1) == labels).mean())
    assert report.quantized_accuracy == float((found.argmax(1) == labels).mean())


def test_figures_against_the_fake_quantized_model(
    model: FloatModel, profile: CalibrationProfile, conversion: Conversion, dataset: Dataset
) -> None:
    program = conversion.program
    count = compared_count(program)
    assert count == certificate.MOST_COMPARED
    samples = {"x": np.array(dataset.arrays["x"][:count])}
    prepared = prepare_qat(model.graph, profile.ranges).eval()
    with torch.no_grad():
        fake = prepared(torch.from_numpy(samples["x"])).numpy()
    assert conversion.report.parity is not None
    found = conversion.report.parity.fake_quantized
    assert found is not None
    assert found.sample_count == count
    layers = dict(compare_fake_quantized(prepared, program, samples))
    assert found.layers == _together(layers)
    assert found.layers.max_lsb <= 1
    values = Engine(program).run_all(samples)
    assert found.free_running == _together(dict(run_freely(prepared, program, values).layers))
    same = (values["output"].argmax(1) == fake.argmax(1)).mean()
    assert found.top1_agreement == float(same)
    if found.worst_layer:
        assert layers[found.worst_layer].max_lsb == found.layers.max_lsb


def test_without_labels_as_many_samples_as_there_is_time_for(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlabelled = Dataset({"x": dataset.arrays["x"]}, COUNT)
    conversion = convert(model, profile, evaluation=unlabelled)
    report = conversion.report
    assert report.parity is not None
    assert report.parity.float_model is not None
    assert report.parity.float_model.sample_count == COUNT
    assert report.float_accuracy is None
    assert report.quantized_accuracy is None
    monkeypatch.setattr(
        certificate, "FLOAT_MULTIPLICATIONS", 70 * total_multiplications(conversion.program, 1)
    )
    parity = convert(model, profile, evaluation=unlabelled).report.parity
    assert parity is not None
    assert parity.float_model is not None
    assert parity.float_model.sample_count == 70


def test_without_evaluation_data_the_samples_are_invented(
    model: FloatModel, profile: CalibrationProfile
) -> None:
    parity = convert(model, profile).report.parity
    assert parity is not None
    assert parity.float_model is None
    assert parity.fake_quantized is not None
    assert parity.fake_quantized.layers.max_lsb <= 1
    assert parity.fake_quantized.layers.elements > 0
    assert parity.differing_bytes == 0
    assert parity.compared_bytes > 0


def test_dynamic_activations_are_not_simulated(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    report = convert(model, profile, evaluation=dataset, activations=Activations.DYNAMIC).report
    assert report.parity is not None
    assert report.parity.fake_quantized is None
    assert report.parity.float_model is not None


def test_a_wrong_simulation_shows(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = certificate.compare_layers

    def with_another_bias(prepared: torch.fx.GraphModule, *rest: object) -> object:
        body = next(m for m in prepared.modules() if isinstance(m, nn.Linear))
        with torch.no_grad():
            assert body.bias is not None
            body.bias += 1.0
        return real(prepared, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(certificate, "compare_layers", with_another_bias)
    parity = convert(model, profile, evaluation=dataset).report.parity
    assert parity is not None
    assert parity.fake_quantized is not None
    assert parity.fake_quantized.layers.max_lsb > 1
    linear = next(node.name for node in model.graph.graph.nodes if node.meta.get("op") == "linear")
    assert parity.fake_quantized.worst_layer == linear


class _DeadChannel(nn.Module):
    """A layer whose weights are large where its input is 0, so that its biases are rounded far."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 1)
        with torch.no_grad():
            self.first.weight[0], self.first.bias[0] = 0.0, -1.0  # type: ignore[index]
            self.second.weight[:, 0] = 2000.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(torch.relu(self.first(x)))
        return y


def test_rounded_biases_are_simulated(import_model: ImportModel) -> None:
    torch.manual_seed(0)
    model = import_model(_DeadChannel(), (2, 6, 6))
    samples = np.random.default_rng(0).normal(size=(40, 2, 6, 6)).astype(np.float32)
    profile = calibrate(model, [{"x": samples[:20]}, {"x": samples[20:]}])
    parity = convert(model, profile, evaluation=Dataset({"x": samples}, 40)).report.parity
    assert parity is not None
    assert parity.fake_quantized is not None
    assert parity.fake_quantized.layers.max_lsb <= 1
    assert parity.fake_quantized.free_running.max_lsb <= 1


def test_fewer_samples_of_larger_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    program = every_step_program()
    assert compared_count(program) == 64
    monkeypatch.setattr(certificate, "COMPARED_VALUES", 3 * 8000)
    assert 1 < compared_count(program) < 64
    monkeypatch.setattr(certificate, "COMPARED_MULTIPLICATIONS", 1.0)
    assert compared_count(program) == 1
    assert float_compared_count(program) == certificate.MOST_FLOAT_COMPARED
    multiplications = total_multiplications(program, 1)
    monkeypatch.setattr(certificate, "FLOAT_MULTIPLICATIONS", 9.5 * multiplications)
    assert float_compared_count(program) == 9
    monkeypatch.setattr(certificate, "FLOAT_MULTIPLICATIONS", 0.5 * multiplications)
    assert float_compared_count(program) == 1
