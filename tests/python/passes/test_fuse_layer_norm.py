"""Layer normalization is found as ONNX files write it, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference, fuse_layer_norm

ImportModel = Callable[..., FloatModel]
Function = Callable[[Tensor, Tensor, Tensor], Tensor]


class _Net(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, 4))
        self.bias = nn.Parameter(torch.linspace(-1, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


def _norm(x: Tensor, eps: float = 1e-5, dim: int = -1) -> Tensor:
    centered = x - x.mean((dim,), keepdim=True)
    return centered / torch.sqrt((centered**2).mean((dim,), keepdim=True) + eps)


def _other_value(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    centered = x - x.mean((-1,), keepdim=True)
    variance = (x * x).mean((-1,), keepdim=True)
    return centered / torch.sqrt(variance + 1e-5) * w + b


FORMS: dict[str, Function] = {
    "weight behind": lambda x, w, b: _norm(x) * w + b,
    "weight in front": lambda x, w, b: b + w * _norm(x, 1e-12),
}
OTHERS: dict[str, Function] = {
    "no weight": lambda x, w, b: _norm(x) + b,
    "another axis": lambda x, w, b: _norm(x, dim=1) * w + b,
    "a large eps": lambda x, w, b: _norm(x, 2.0) * w + b,
    "another value": _other_value,
    "a number as weight": lambda x, w, b: _norm(x) * 0.5 + b,
}


def fused(function: Function, import_model: ImportModel) -> tuple[int, float]:
    graph = import_model(_Net(function), (3, 4)).graph
    made = fuse_layer_norm(graph)
    x = 3 * torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0))
    count = [str(node.meta.get("op")) for node in made.graph.nodes].count("layer_norm")
    with torch.no_grad():
        return count, float((made(x) - graph(x)).abs().max())


@pytest.mark.parametrize("name", FORMS)
def test_a_layer_norm_is_found(name: str, import_model: ImportModel) -> None:
    count, difference = fused(FORMS[name], import_model)
    assert count == 1
    assert difference < 1e-5


@pytest.mark.parametrize("name", OTHERS)
def test_other_functions_stay(name: str, import_model: ImportModel) -> None:
    assert fused(OTHERS[name], import_model) == (0, 0.0)


def test_weight_and_bias_stay_parameters_and_what_made_the_norm_is_gone(
    import_model: ImportModel,
) -> None:
    graph = import_model(_Net(FORMS["weight behind"]), (3, 4)).graph
    made = fuse_for_inference(graph)
    assert [str(node.meta["op"]) for node in made.graph.nodes if "op" in node.meta] == [
        "layer_norm"
    ]
    assert sorted(weight.tolist() for weight in made.parameters()) == sorted(
        weight.tolist() for weight in (_Net(_norm).weight, _Net(_norm).bias)
    )
