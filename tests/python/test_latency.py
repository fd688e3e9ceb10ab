"""Layers are timed in both models, and each layer of the float model counts once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from smidgen import pipeline
from smidgen.config import ConversionConfig, MeasurementConfig, Override, PrecisionConfig
from smidgen.config.precision import FLOAT
from smidgen.errors import InvalidConfigError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.latency import step_owners
from smidgen.passes import fuse_for_inference
from smidgen.report import QuantizationReport

ImportModel = Callable[..., FloatModel]
X = np.random.default_rng(1).normal(size=(32, 3, 8, 8)).astype(np.float32)


class _Net(nn.Module):
    """A residual block whose sum the engine makes part of a convolution, softmax and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = torch.softmax(x + torch.relu(self.second(x)), 1)
        y: torch.Tensor = self.head(x.mean((2, 3)))
        return y


def _report(
    import_model: ImportModel, measurements: MeasurementConfig, dataset: Dataset | None = None
) -> QuantizationReport:
    model = import_model(_Net(), (3, 8, 8))
    profile = pipeline.calibrate(model, [{"x": X}])
    config = ConversionConfig(measurements=measurements)
    return pipeline.convert(model, profile, evaluation=dataset, config=config).report


def test_each_layer_that_runs_is_timed_once(import_model: ImportModel) -> None:
    threads = torch.get_num_threads()
    report = _report(import_model, MeasurementConfig(latency=True))
    assert torch.get_num_threads() == threads
    latency = report.latency
    assert latency is not None
    named = [name for layer in latency.layers for name in (layer.node, *layer.covers)]
    assert sorted(named) == sorted(node.node for node in report.nodes if node.activation)
    assert all(layer.float_us > 0 for layer in latency.layers)
    assert (latency.batch, latency.threads) == (1, 1)
    assert 3 <= latency.rounds <= 50
    steps_us = sum(layer.quantized_us for layer in latency.layers) + latency.conversions_us
    assert 0 < steps_us < 3 * latency.quantized_us
    assert 0 < latency.quantized_us < latency.float_us
    convs = [node.node for node in report.nodes if node.op == "conv2d"]
    by_node = {layer.node: layer for layer in latency.layers}
    assert all(by_node[conv].quantized_us > 0 for conv in convs)


def test_nothing_is_measured_unless_asked(import_model: ImportModel) -> None:
    report = _report(import_model, MeasurementConfig())
    assert report.latency is None
    assert report.sensitivity is None


def test_sensitivity_needs_samples(import_model: ImportModel) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        _report(import_model, MeasurementConfig(sensitivity_seconds=5.0))
    assert caught.value.reason == "SENSITIVITY_NEEDS_SAMPLES"


@pytest.mark.parametrize("seconds", [-1.0, 3601.0, float("nan")])
def test_budgets_out_of_range_are_refused(seconds: float) -> None:
    with pytest.raises(InvalidConfigError):
        MeasurementConfig(sensitivity_seconds=seconds)


def test_report_survives_its_document(import_model: ImportModel) -> None:
    report = _report(import_model, MeasurementConfig(latency=True))
    assert QuantizationReport.from_dict(report.to_dict()) == report


def test_all_steps_of_a_float_layer_count_as_its_time(import_model: ImportModel) -> None:
    model = import_model(_Net(), (3, 8, 8))
    profile = pipeline.calibrate(model, [{"x": X}])
    report = pipeline.convert(
        model,
        profile,
        precision=PrecisionConfig(FLOAT),
        config=ConversionConfig(measurements=MeasurementConfig(latency=True)),
    ).report
    latency = report.latency
    assert latency is not None
    layers = {layer.node: layer for layer in latency.layers}
    named = [name for layer in latency.layers for name in (layer.node, *layer.covers)]
    assert sorted(named) == sorted(node.node for node in report.nodes if node.activation)
    assert not any(node.is_quantized for node in report.nodes)
    # No step converts: what is not in the layers' times would be here.
    assert latency.conversions_us == pytest.approx(0.0, abs=1e-6)
    head = next(node.node for node in report.nodes if node.op == "linear")
    assert layers[head].quantized_us > 0.0


def test_steps_belong_to_the_node_that_they_work_for(import_model: ImportModel) -> None:
    model = import_model(_Net(), (3, 8, 8))
    profile = pipeline.calibrate(model, [{"x": X}])
    precision = PrecisionConfig(overrides=(Override("first", FLOAT), Override("head", FLOAT)))
    program = pipeline.convert(model, profile, precision=precision).program
    graph = fuse_for_inference(model.graph)
    first, *_, head = (node.name for node in graph.graph.nodes if node.op == "call_module")
    owners = step_owners(graph, program)
    assert [tensor for tensor, node in owners.items() if node == first] == [
        f"{first}.unclamped",
        first,
    ]
    assert [tensor for tensor, node in owners.items() if node == head] == [
        f"{head}.weight",
        f"{head}.bias",
        f"{head}.product",
        "output",
    ]
    assert f"{first}_quantized" not in owners
