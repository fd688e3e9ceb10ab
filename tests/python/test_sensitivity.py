"""Layers that cost accuracy are found, one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.calibration import calibrate
from smidgen.float_model import FloatModel
from smidgen.functional import dequantize, quantize
from smidgen.measured import Sensitivity
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import Kind, kind_of
from smidgen.sensitivity import measure_sensitivity

ImportModel = Callable[..., FloatModel]
X = np.random.default_rng(1).normal(size=(32, 3, 8, 8)).astype(np.float32)


class _Net(nn.Module):
    """Three convolutions, a residual sum and a head; `planted` has one channel of 2^10 its size."""

    def __init__(self, planted: int | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convs = nn.ModuleList(nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(3))
        self.head = nn.Linear(8, 6)
        if planted is not None:
            # Its output has a range that leaves the seven other channels less than one level, and
            # what reads it takes it back, so that the float model is the same.
            bad, reader = self.convs[planted], self.convs[planted + 1]
            with torch.no_grad():
                bad.weight[0] *= 2.0**10
                bad.bias[0] *= 2.0**10
                reader.weight[:, 0] *= 2.0**-10

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            x = torch.relu(conv(x))
        y: torch.Tensor = self.head(x.mean((2, 3)))
        return y


def _measure(model: FloatModel) -> dict[str, Sensitivity]:
    profile = calibrate(model, [{"x": X}])
    graph = fuse_for_inference(model.graph)
    return measure_sensitivity(graph, profile.ranges, {"x": X}, model.exported.inputs)


@pytest.mark.parametrize("planted", [0, 1])
def test_a_planted_layer_is_found(planted: int, import_model: ImportModel) -> None:
    model = import_model(_Net(planted), (3, 8, 8))
    layers = _measure(model)
    graph = fuse_for_inference(model.graph)
    convs = [node.name for node in graph.graph.nodes if kind_of(node) is Kind.CONV]
    by_ratio = sorted(layers, key=lambda name: layers[name].output_sqnr_db or np.inf)
    by_divergence = sorted(layers, key=lambda name: -(layers[name].output_kl or 0.0))
    assert by_ratio[0] == by_divergence[0] == convs[planted]
    worst, second = (layers[name].output_sqnr_db for name in by_ratio[:2])
    assert worst is not None
    assert second is not None
    assert worst < second - 10


def test_without_a_bad_layer_none_stands_out(import_model: ImportModel) -> None:
    layers = _measure(import_model(_Net(None), (3, 8, 8)))
    assert all((layer.output_sqnr_db or 0.0) > 30 for layer in layers.values())
    assert all((layer.output_kl or 0.0) < 1e-3 for layer in layers.values())
    assert len(layers) == 6  # the input, three convolutions, the mean and the head


def test_figures_of_the_input_alone(import_model: ImportModel) -> None:
    net = _Net(None)
    model = import_model(net, (3, 8, 8))
    qparams = calibrate(model, [{"x": X}]).ranges["x"].qparams
    rounded = dequantize(
        quantize(X, qparams.scale, qparams.zero_point), qparams.scale, qparams.zero_point
    )
    with torch.no_grad():
        expected, found = (net(torch.from_numpy(x)).double() for x in (X, rounded))
    noise = float(((expected - found) ** 2).sum())
    ratio = 10 * np.log10(float((expected**2).sum()) / noise)
    divergence = nn.functional.kl_div(
        found.log_softmax(1), expected.log_softmax(1), reduction="batchmean", log_target=True
    )
    first = next(iter(_measure(model).values()))
    assert first.output_sqnr_db == pytest.approx(ratio, abs=0.05)
    assert first.output_kl == pytest.approx(float(divergence), rel=0.02)
