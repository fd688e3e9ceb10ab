"""GELU is found as ONNX files write it, and nothing else is taken for it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from smidgen.float_model import FloatModel
from smidgen.passes import fuse_gelu

ImportModel = Callable[..., FloatModel]


class _Net(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


ROOT = math.sqrt(2)
FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "half behind": lambda x: x * (torch.erf(x / ROOT) + 1) * 0.5,
    "half in front": lambda x: 0.5 * (x * (1 + torch.erf(x / ROOT))),
    "half of x": lambda x: (x * 0.5) * (1 + torch.erf(x / ROOT)),
    "half of the gate": lambda x: x * ((1 + torch.erf(x / ROOT)) * 0.5),
    "product": lambda x: x * (1 + torch.erf(x * math.sqrt(0.5))) * 0.5,
}
OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "other half": lambda x: x * (torch.erf(x / ROOT) + 1) * 0.25,
    "other width": lambda x: x * (torch.erf(x / 2) + 1) * 0.5,
    "other value": lambda x: (x + 1) * (torch.erf(x / ROOT) + 1) * 0.5,
    "other sum": lambda x: x * (torch.erf(x / ROOT) + 2) * 0.5,
    "other function": lambda x: x * (torch.tanh(x / ROOT) + 1) * 0.5,
}


def fused(function: Callable[[Tensor], Tensor], import_model: ImportModel) -> tuple[int, float]:
    graph = import_model(_Net(function), (3, 4)).graph
    made = fuse_gelu(graph)
    x = 3 * torch.randn(8, 3, 4, generator=torch.Generator().manual_seed(0))
    count = [str(node.meta.get("op")) for node in made.graph.nodes].count("gelu")
    with torch.no_grad():
        return count, float((made(x) - graph(x)).abs().max())


@pytest.mark.parametrize("name", FORMS)
def test_gelu_is_found(name: str, import_model: ImportModel) -> None:
    count, difference = fused(FORMS[name], import_model)
    assert count == 1
    assert difference < 1e-6


@pytest.mark.parametrize("name", OTHERS)
def test_other_functions_stay(name: str, import_model: ImportModel) -> None:
    assert fused(OTHERS[name], import_model) == (0, 0.0)
