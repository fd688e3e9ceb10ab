"""Preparation for training and what conversion takes back."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.calibration import calibrate
from smidgen.config import RangeSource
from smidgen.convert import convert_graph
from smidgen.errors import CalibrationError
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import Clamped, module_of
from smidgen.program import interpret
from smidgen.qat.fake_quantize import FakeQuantize
from smidgen.qat.modules import QATConvBatchNorm2d, QATLinear
from smidgen.qat.prepare import ClampedByReader, finish_qat, prepare_qat

ImportModel = Callable[..., FloatModel]


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        y: torch.Tensor = self.head(x.flatten(1))
        return y


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Net(), (2, 6, 6))


def _input() -> torch.Tensor:
    return torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(0))


def test_activations_are_quantized_where_they_are_computed(model: FloatModel) -> None:
    profile = calibrate(model, [{"x": _input().numpy()}])
    prepared = prepare_qat(model.graph, profile.ranges)
    modules = [module_of(prepared, node) for node in prepared.graph.nodes]
    kinds = [type(module).__name__ for module in modules if module is not None]
    assert kinds == [
        "FakeQuantize",
        "QATConvBatchNorm2d",
        "FakeQuantize",
        "MaxPool2d",
        "QATLinear",
        "FakeQuantize",
    ]
    ranges = [module.range for module in modules if isinstance(module, FakeQuantize)]
    assert ranges == list(profile.ranges.values())


def test_an_operator_is_clamped_and_overwritten_by_its_only_reader(model: FloatModel) -> None:
    profile = calibrate(model, [{"x": _input().numpy()}])
    prepared = prepare_qat(model.graph, profile.ranges)
    found = [
        (module.bounds, module.overwrites)
        for module in prepared.modules()
        if isinstance(module, FakeQuantize)
    ]
    unbounded = (-math.inf, math.inf)
    assert found == [(unbounded, False), ((0.0, math.inf), True), (unbounded, True)]
    clamps = [module for module in prepared.modules() if isinstance(module, Clamped)]
    assert [type(module) for module in clamps] == [ClampedByReader]
    x = _input()
    before = x.clone()
    prepared.train()(x).sum().backward()
    assert torch.equal(x, before)


class _Island(nn.Module):
    """A sum of floats that a convolution reads quantized and a softmax as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.softmax(x, dim=-1)
        y = y + torch.softmax(y * y, dim=-1)
        return torch.softmax(self.conv(y), dim=-1) + torch.softmax(y, dim=-1)


def test_what_others_read_is_not_overwritten(import_model: ImportModel) -> None:
    model = import_model(_Island(), (2, 6, 6))
    profile = calibrate(model, [{"x": _input().numpy()}])
    prepared = prepare_qat(model.graph, profile.ranges)
    overwritten = {
        node.all_input_nodes[0].name: module.overwrites
        for node in prepared.graph.nodes
        if isinstance(module := module_of(prepared, node), FakeQuantize)
    }
    assert list(overwritten.values()) == [False, True]  # the sum, the convolution


def test_finishing_what_was_not_trained_gives_the_folded_model(model: FloatModel) -> None:
    profile = calibrate(model, [{"x": _input().numpy()}])
    finished, ranges = finish_qat(prepare_qat(model.graph, profile.ranges).eval())
    folded = fuse_for_inference(model.graph)
    assert dict(ranges) == dict(profile.ranges)
    assert [n.name for n in finished.graph.nodes] == [n.name for n in folded.graph.nodes]
    with torch.no_grad():
        assert torch.equal(finished(_input()), folded(_input()))


def test_prepared_graph_is_independent(model: FloatModel) -> None:
    profile = calibrate(model, [{"x": _input().numpy()}])
    prepared = prepare_qat(model.graph, profile.ranges).train()
    with torch.no_grad():
        for parameter in prepared.parameters():
            parameter.zero_()
    assert not any(module.training for module in model.graph.modules())
    assert all(
        np.abs(p.detach().numpy()).sum() > 0 for p in model.graph.parameters() if p.dim() > 1
    )
    assert any(isinstance(module, QATConvBatchNorm2d) for module in prepared.modules())


class _Residual(nn.Module):
    """A sum that is clamped."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x) + x)


@pytest.mark.parametrize("activations", RangeSource)
def test_clamps_come_back_and_states_have_the_same_names(
    import_model: ImportModel, activations: RangeSource
) -> None:
    model = import_model(_Residual(), (2, 6, 6))
    profile = calibrate(model, [{"x": _input().numpy()}])
    prepared = prepare_qat(model.graph, profile.ranges, activations=activations).eval()
    finished, ranges = finish_qat(prepared)
    folded = fuse_for_inference(model.graph)
    assert ranges.keys() == profile.ranges.keys()
    assert [n.name for n in finished.graph.nodes] == [n.name for n in folded.graph.nodes]
    with torch.no_grad():
        assert torch.equal(finished(_input()), folded(_input()))
        assert float(prepared(_input()).min()) == 0.0
    names = [name for name in prepared.state_dict() if "fake_quantize" not in name]
    assert [name.partition(".")[2] for name in names] == ["layer.weight", "layer.bias"]
    observed = prepare_qat(model.graph, profile.ranges)
    observed.load_state_dict(prepared.state_dict())


def test_state_of_a_clamped_layer_has_the_names_of_former_versions(model: FloatModel) -> None:
    profile = calibrate(model, [{"x": _input().numpy()}])
    names = list(prepare_qat(model.graph, profile.ranges).state_dict())
    assert [name.partition(".")[2] for name in names if name.endswith("layer.weight")] == [
        "operator.layer.weight",
        "layer.weight",
    ]


class _Joined(nn.Module):
    """Batch norm, depthwise, a concatenation with one operand that is read twice, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.left_norm = nn.BatchNorm2d(4)
        self.right = nn.Conv2d(2, 4, 1)
        self.after = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.lone_norm = nn.BatchNorm2d(8)
        self.last = nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = torch.relu(self.left_norm(self.left(x)))
        right = self.right(x)
        joined = torch.cat([nn.functional.max_pool2d(left, 3, 1, 1), right], dim=1)
        y = nn.functional.hardswish(self.lone_norm(nn.functional.relu6(self.after(joined))))
        return self.last(y) + right


def test_trained_graph_computes_what_its_program_computes(import_model: ImportModel) -> None:
    torch.manual_seed(0)
    model = import_model(_Joined(), (2, 6, 6))
    x = _input()
    profile = calibrate(model, [{"x": x.numpy()}])
    prepared = prepare_qat(model.graph, profile.ranges).train()
    optimizer = torch.optim.Adam(prepared.parameters(), lr=3e-3)
    before = None
    for _ in range(20):
        optimizer.zero_grad()
        loss = prepared(x).square().mean()
        before = before or float(loss.detach())
        loss.backward()
        optimizer.step()
    graph, ranges = finish_qat(prepared.eval())
    assert dict(ranges) != dict(profile.ranges)
    program = convert_graph(
        graph, ranges, inputs=model.exported.inputs, outputs=model.exported.outputs
    )
    found = interpret(program, {"x": x.numpy()})[program.outputs[0]]
    with torch.no_grad():
        expected = prepared(x).numpy()
    assert np.square(expected).mean() < before
    scale = program.tensor(program.steps[-1].input).scale
    assert scale is not None
    difference = np.abs(np.rint((found - expected) / scale))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.03


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.relu(self.linear(x)))


def test_tied_weights_stay_tied(import_model: ImportModel) -> None:
    model = import_model(_Tied(), (4,))
    profile = calibrate(model, [{"x": torch.randn(40, 4).numpy()}])
    prepared = prepare_qat(model.graph, profile.ranges)
    layers = [module for module in prepared.modules() if isinstance(module, QATLinear)]
    assert len(layers) == 2
    assert layers[0].layer.weight is layers[1].layer.weight
    assert len(list(prepared.parameters())) == 2


def test_missing_ranges_are_named(model: FloatModel) -> None:
    with pytest.raises(CalibrationError, match="no range for") as caught:
        prepare_qat(model.graph, {})
    assert caught.value.reason == "PROFILE_INCOMPLETE"
