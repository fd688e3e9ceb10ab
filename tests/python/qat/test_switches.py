"""What a frozen or bare graph computes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import fx, nn

from smidgen.calibration import calibrate
from smidgen.float_model import FloatModel
from smidgen.qat.fake_quantize import FakeQuantize
from smidgen.qat.modules import QATConvBatchNorm2d
from smidgen.qat.prepare import prepare_qat
from smidgen.qat.switches import (
    set_batch_statistics,
    set_observers,
    without_fake_quantization,
)

ImportModel = Callable[..., FloatModel]


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.up = nn.ConvTranspose2d(3, 2, 2, stride=2)
        self.head = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.norm(self.conv(x)))
        x = nn.functional.interpolate(self.up(x), scale_factor=2.0, mode="bilinear")
        y: torch.Tensor = self.head(x.mean((2, 3)))
        return y


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(1)
    net = _Net()
    nn.init.uniform_(net.norm.weight, 0.5, 2.0)
    net.norm.running_mean = torch.rand(3)
    return import_model(net, (2, 6, 6))


@pytest.fixture
def prepared(model: FloatModel) -> fx.GraphModule:
    batch = {model.exported.inputs[0].name: torch.randn(8, 2, 6, 6).numpy()}
    return prepare_qat(model.graph, calibrate(model, [batch]).ranges)


def test_bare_graph_is_the_float_model(model: FloatModel, prepared: fx.GraphModule) -> None:
    prepared.eval()
    x = torch.randn(4, 2, 6, 6)
    bare = without_fake_quantization(prepared)
    torch.testing.assert_close(bare(x), model.graph(x), rtol=1e-4, atol=1e-5)
    assert not torch.equal(bare(x), prepared(x))


def test_bare_graph_trains_the_parameters_of_the_prepared_one(prepared: fx.GraphModule) -> None:
    prepared.eval()
    without_fake_quantization(prepared)(torch.randn(4, 2, 6, 6)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in prepared.parameters())


@pytest.mark.parametrize("observers", [True, False])
@pytest.mark.parametrize("statistics", [True, False])
def test_what_is_frozen_does_not_move(
    prepared: fx.GraphModule, observers: bool, statistics: bool
) -> None:
    set_observers(prepared, observers)
    set_batch_statistics(prepared, statistics)
    before = {name: value.clone() for name, value in prepared.state_dict().items()}
    prepared(3.0 + torch.randn(4, 2, 6, 6))
    moved = {name for name, value in prepared.state_dict().items() if not value.equal(before[name])}
    assert any(name.endswith("ends") for name in moved) == observers
    assert any(name.endswith("running_mean") for name in moved) == statistics
    kinds = {type(module): module.training for module in prepared.modules()}
    assert kinds[FakeQuantize] == observers
    assert kinds[QATConvBatchNorm2d] == kinds[nn.BatchNorm2d] == statistics
