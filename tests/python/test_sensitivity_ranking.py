"""Layers are ranked by what they cost, those with the most noise first, in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
import torch
from torch import fx, nn

from smidgen.calibration import calibrate
from smidgen.config.precision import LayerPrecision, WeightBits
from smidgen.float_model import FloatModel
from smidgen.measured import SensitivityReport
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import Kind, kind_of
from smidgen.sensitivity import measure_sensitivity
from smidgen.sensitivity_ranking import rank_sensitivity

ImportModel = Callable[..., FloatModel]
X = np.random.default_rng(1).normal(size=(16, 3, 8, 8)).astype(np.float32)


class _Net(nn.Module):
    """Two convolutions with a ReLU behind each, and a head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.second(torch.relu(self.first(x))))
        y: torch.Tensor = self.head(x.mean((2, 3)))
        return y


class _Measured:
    """The net, ready to be ranked."""

    def __init__(self, import_model: ImportModel) -> None:
        self.model = import_model(_Net(), (3, 8, 8))
        self.graph: fx.GraphModule = fuse_for_inference(self.model.graph)
        self.profile = calibrate(self.model, [{"x": X}])
        self.convs = [n.name for n in self.graph.graph.nodes if kind_of(n) is Kind.CONV]

    def rank(
        self,
        *,
        budget_s: float,
        noise: dict[str, float | None] | None = None,
        precisions: dict[str, LayerPrecision] | None = None,
    ) -> SensitivityReport:
        ticks = count()  # each look at the clock takes a second
        return rank_sensitivity(
            self.graph,
            self.profile.ranges,
            {"x": X},
            self.model.exported.inputs,
            noise=noise or {},
            precisions=precisions or {},
            budget_s=budget_s,
            clock=lambda: float(next(ticks)),
        )


@pytest.fixture
def net(import_model: ImportModel) -> _Measured:
    return _Measured(import_model)


def test_with_enough_time_all_layers_are_ranked(net: _Measured) -> None:
    report = net.rank(budget_s=1000.0)
    expected = measure_sensitivity(
        net.graph, net.profile.ranges, {"x": X}, net.model.exported.inputs
    )
    ratios = [layer.output_sqnr_db for layer in report.layers]
    assert ratios == sorted(found.output_sqnr_db or np.inf for found in expected.values())
    assert len(report.layers) == report.layer_count == 5
    assert "x" in {layer.node for layer in report.layers}
    assert report.sample_count == 16


def test_when_time_is_over_the_noisiest_are_done(net: _Measured) -> None:
    second = net.convs[1]
    report = net.rank(budget_s=1.0, noise={net.convs[0]: 40.0, second: 10.0, "x0": None})
    assert [layer.node for layer in report.layers] == ["v2"]
    assert report.layer_count == 5
    report = net.rank(budget_s=2.0, noise={net.convs[0]: 40.0, second: 10.0, "x0": None})
    assert {layer.node for layer in report.layers} == {"v0", "v2"}


def test_fewer_bits_cost_more(net: _Measured) -> None:
    conv = net.convs[1]
    ratio = {}
    for name, precisions in (("int8", {}), ("int4", {conv: LayerPrecision(WeightBits.INT4)})):
        layers = net.rank(budget_s=1000.0, precisions=precisions).layers
        (ratio[name],) = (layer.output_sqnr_db for layer in layers if layer.node == "v2")
    assert ratio["int8"] > ratio["int4"] + 10.0
