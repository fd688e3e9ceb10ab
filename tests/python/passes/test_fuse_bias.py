"""A vector that is added to a linear layer becomes its bias; nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from smidgen.float_model import FloatModel
from smidgen.passes import fuse_bias

ImportModel = Callable[..., FloatModel]


class _Net(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 6, bias=form == "biased")
        self.register_buffer("vector", torch.arange(6.0))
        self.register_buffer("rows", torch.arange(18.0).reshape(3, 6))
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        match self.form:
            case "in front":
                return self.vector + y
            case "rows":
                return y + self.rows
            case "number":
                return y + 1.0
            case "read twice":
                return (y + self.vector) * y
            case _:
                return y + self.vector


@pytest.mark.parametrize(
    ("form", "sums"),
    [("behind", 0), ("in front", 0), ("biased", 1), ("rows", 1), ("number", 1), ("read twice", 1)],
)
def test_a_vector_becomes_the_bias(form: str, sums: int, import_model: ImportModel) -> None:
    torch.manual_seed(0)
    graph = import_model(_Net(form), (3, 4)).graph
    fused = fuse_bias(graph)
    kinds = [str(node.meta.get("op")) for node in fused.graph.nodes]
    assert kinds.count("add") == sums
    assert kinds.count("linear") == 1
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(fused(x), graph(x), rtol=1e-6, atol=1e-6)
