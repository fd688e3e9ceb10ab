"""Operations with a constant become functions of one number or depthwise convolutions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from smidgen.float_model import FloatModel
from smidgen.passes import absorb_constants, fuse_for_inference

ImportModel = Callable[..., FloatModel]
Function = Callable[[torch.Tensor], torch.Tensor]


class _Net(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).reshape(3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, self.mean)


ABSORBED: dict[str, tuple[Callable[..., torch.Tensor], list[str]]] = {
    "sum": (lambda x, _: x + 2, ["affine"]),
    "difference": (lambda x, _: x - 2, ["affine"]),
    "reversed difference": (lambda x, _: 2 - x, ["affine"]),
    "product": (lambda x, _: 3 * x, ["affine"]),
    "quotient": (lambda x, _: x / 4, ["affine"]),
    "reciprocal": (lambda x, _: 4 / (x.abs() + 1), ["abs", "affine", "reciprocal", "affine"]),
    "channels": (lambda x, mean: x - mean, ["conv2d"]),
    "quotient of channels": (lambda x, mean: x / mean, ["conv2d"]),
    "rows": (
        lambda x, mean: x.transpose(1, 3) * mean.flatten(),
        ["transpose", "constant", "multiply"],
    ),
}


@pytest.mark.parametrize("name", ABSORBED)
def test_constants_are_absorbed(import_model: ImportModel, name: str) -> None:
    function, expected = ABSORBED[name]
    graph = import_model(_Net(function), (3, 4, 4)).graph
    absorbed = absorb_constants(graph)
    kinds = [n.meta["op"] for n in absorbed.graph.nodes if n.op not in ("placeholder", "output")]
    assert sorted(kinds) == sorted(expected)
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(absorbed(x), graph(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fuse_for_inference(graph)(x), graph(x), rtol=1e-5, atol=1e-5)
