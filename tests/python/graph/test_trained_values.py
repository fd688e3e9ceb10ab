"""Parameters and what follows from them are trained; buffers and constants stay as they are."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from smidgen.config import OptimizerConfig
from smidgen.errors import InvalidModelError
from smidgen.formats.onnx_import import read_onnx
from smidgen.formats.pt2 import read_pt2
from smidgen.graph.build import build_graph
from smidgen.qat.optimization import make_optimizer
from tests.python.formats.pt2_files import export


class _Mixed(nn.Module):
    """Values of both kinds, each in a form that import has to follow."""

    mean: torch.Tensor
    blur: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((4, 1, 1), 0.25))
        self.register_buffer("blur", torch.full((4, 1, 3, 3), 1 / 9))
        self.scale = nn.Parameter(torch.full((4,), 2.0))
        self.token = nn.Parameter(torch.full((1, 1, 8), 3.0))
        self.kernel = nn.Parameter(torch.full((4, 4, 3), 0.5))
        self.table = nn.Parameter(torch.arange(12.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.conv2d(x - self.mean, self.blur, padding=1, groups=4)
        rows = (x * self.scale.view(1, 4, 1, 1)).mean(2)
        rows = F.conv1d(rows, self.kernel, padding=1) * torch.linspace(1, 2, 8)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), rows], 1)
        positions = self.table[torch.tensor([0, 3, 6, 9, 1])]
        return tokens + positions[:, None]


def _is_trained(graph: nn.Module) -> dict[float, bool]:
    """Returns whether each parameter is trained, by its first element."""
    return {_first(p): p.requires_grad for p in graph.parameters()}


def _first(parameter: torch.Tensor) -> float:
    return round(float(parameter.detach().flatten()[0]), 3)


def test_what_follows_from_parameters_alone_is_trained(tmp_path: Path) -> None:
    model = read_pt2(export(tmp_path / "m.pt2", _Mixed(), torch.randn(2, 4, 6, 8)))
    trained = _is_trained(build_graph(model))
    assert trained == {
        0.25: False,  # the mean of pictures
        0.111: False,  # the kernel that blurs
        1.0: False,  # numbers that the program makes
        2.0: True,
        0.5: True,
        3.0: True,
        0.0: True,  # selected from the table
    }
    assert model.parameter_count == 4 + 8 + 48 + 12


def test_a_step_of_training_leaves_buffers_alone(tmp_path: Path) -> None:
    model = read_pt2(export(tmp_path / "m.pt2", _Mixed(), torch.randn(2, 4, 6, 8)))
    graph = build_graph(model)
    before = {name: p.detach().clone() for name, p in graph.named_parameters()}
    optimizer = make_optimizer(graph, OptimizerConfig())
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    graph(torch.randn(2, 4, 6, 8)).square().mean().backward()
    optimizer.step()
    changed = {
        _first(before[name]): not torch.equal(p, before[name])
        for name, p in graph.named_parameters()
    }
    assert changed == _is_trained(build_graph(model))


def test_a_model_of_buffers_alone_is_not_trained(tmp_path: Path) -> None:
    class Blur(nn.Module):
        kernel: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kernel", torch.full((4, 1, 3, 3), 1 / 9))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, self.kernel, groups=4)

    graph = build_graph(read_pt2(export(tmp_path / "m.pt2", Blur(), torch.randn(2, 4, 6, 8))))
    with pytest.raises(InvalidModelError, match="only buffers and constants") as caught:
        make_optimizer(graph, OptimizerConfig())
    assert caught.value.reason == "NO_PARAMETERS"


def test_initializers_of_onnx_are_trained_and_its_constants_are_not(tmp_path: Path) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([7.0, 8.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 5.5) * self.scale

    path = tmp_path / "m.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Scaled(), (torch.randn(3, 2),), path, dynamo=False, opset_version=17,
            input_names=["x"], dynamic_axes={"x": {0: "n"}},
        )  # fmt: skip
    assert _is_trained(build_graph(read_onnx(path))) == {5.5: False, 7.0: True}
