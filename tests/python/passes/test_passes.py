"""Each pass: what it does to the structure, and that the output stays the same."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import fx, nn

from smidgen.float_model import FloatModel
from smidgen.passes import (
    fold_batch_norm,
    fuse_activations,
    fuse_batch_norm,
    fuse_for_inference,
    fuse_for_training,
    remove_identity,
)
from smidgen.passes.operators import Clamped, ConvBatchNorm2d, Kind, clamp_of, kind_of, module_of

ImportModel = Callable[..., FloatModel]
Pass = Callable[[fx.GraphModule], fx.GraphModule]


class _Block(nn.Module):
    """Two convolutions with batch norm, a residual sum and dropout, every kind of fusion."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.second_norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, 5)
        self.head_norm = nn.BatchNorm1d(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first_norm(self.first(x)))
        y = nn.functional.relu6(self.second_norm(self.second(x)))
        x = nn.functional.hardtanh(x + y, -0.5, 3.0)
        x = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
        z: torch.Tensor = self.head_norm(self.head(self.dropout(x)))
        return torch.relu(z)


def _randomize(module: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.3, 2.0)
            nn.init.uniform_(part.weight, -1.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module


@pytest.fixture(scope="module")
def block(import_model: ImportModel) -> FloatModel:
    return import_model(_randomize(_Block()), (3, 8, 8))


def _kinds(graph: fx.GraphModule) -> list[Kind]:
    return [kind_of(node) for node in graph.graph.nodes if node.op not in ("placeholder", "output")]


def _assert_equal_output(source: fx.GraphModule, result: fx.GraphModule) -> None:
    x = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(source(x), result(x), atol=1e-5)


@pytest.mark.parametrize(
    "run",
    [
        remove_identity,
        fold_batch_norm,
        fuse_batch_norm,
        fuse_activations,
        fuse_for_inference,
        fuse_for_training,
    ],
    ids=lambda run: run.__name__,
)
def test_output_stays_and_source_is_not_changed(block: FloatModel, run: Pass) -> None:
    code = str(block.graph.graph)
    state = copy.deepcopy(block.graph.state_dict())
    result = run(block.graph)
    _assert_equal_output(block.graph, result)
    assert str(block.graph.graph) == code
    assert not any(module.training for module in block.graph.modules())
    assert all(torch.equal(state[name], value) for name, value in block.graph.state_dict().items())


def test_remove_identity_removes_dropout(block: FloatModel) -> None:
    assert Kind.IDENTITY in _kinds(block.graph)
    assert Kind.IDENTITY not in _kinds(remove_identity(block.graph))


def test_fold_batch_norm_leaves_none(block: FloatModel) -> None:
    folded = fold_batch_norm(remove_identity(block.graph))
    assert Kind.BATCH_NORM not in _kinds(folded)
    assert _kinds(folded).count(Kind.CONV) == 2


def test_fuse_batch_norm_keeps_both_parts(block: FloatModel) -> None:
    fused = fuse_batch_norm(block.graph)
    modules = [module_of(fused, node) for node in fused.graph.nodes]
    assert sum(isinstance(module, ConvBatchNorm2d) for module in modules) == 2
    assert _kinds(fused).count(Kind.BATCH_NORM) == 1


def test_activations_become_clamps(block: FloatModel) -> None:
    fused = fuse_for_inference(block.graph)
    assert _kinds(fused) == [
        Kind.CONV,
        Kind.CONV,
        Kind.ADD,
        Kind.AVERAGE_POOL,
        Kind.RESHAPE,
        Kind.LINEAR,
    ]
    clamps = [clamp_of(fused, node) for node in fused.graph.nodes]
    infinity = float("inf")
    assert clamps[1:4] == [(0.0, infinity), (0.0, 6.0), (-0.5, 3.0)]
    assert clamps[6] == (0.0, infinity)


def test_fused_nodes_have_the_name_of_their_value(block: FloatModel) -> None:
    imported = [node.name for node in block.graph.graph.nodes if kind_of(node) is Kind.CLAMP]
    fused = fuse_for_inference(block.graph)
    clamped = [
        node.name
        for node in fused.graph.nodes
        if node.op == "call_module" and isinstance(fused.get_submodule(str(node.target)), Clamped)
    ]
    assert clamped == imported


def test_training_and_inference_have_the_same_nodes(block: FloatModel) -> None:
    inference, training = fuse_for_inference(block.graph), fuse_for_training(block.graph)
    assert [n.name for n in inference.graph.nodes] == [n.name for n in training.graph.nodes]


class _Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.clamp(nn.functional.relu6(self.conv(x)), 1.0, 9.0)


def test_clamps_in_a_row_combine(import_model: ImportModel) -> None:
    model = import_model(_Chain(), (3, 8, 8))
    fused = fuse_for_inference(model.graph)
    (node,) = (node for node in fused.graph.nodes if kind_of(node) is Kind.CONV)
    assert clamp_of(fused, node) == (1.0, 6.0)
    _assert_equal_output(model.graph, fused)


class _Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return torch.relu(y) + y


def test_producer_with_two_readers_keeps_its_value(import_model: ImportModel) -> None:
    model = import_model(_Shared(), (3, 8, 8))
    fused = fuse_for_inference(model.graph)
    assert _kinds(fused) == [Kind.CONV, Kind.CLAMP, Kind.ADD]
    _assert_equal_output(model.graph, fused)


class _LoneNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.norm(torch.relu(x))
        return y


def test_lone_batch_norm_becomes_a_depthwise_convolution(import_model: ImportModel) -> None:
    model = import_model(_randomize(_LoneNorm()), (3, 8, 8))
    fused = fuse_for_inference(model.graph)
    assert _kinds(fused) == [Kind.CLAMP, Kind.CONV]
    _assert_equal_output(model.graph, fused)
