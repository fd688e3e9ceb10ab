"""Which activations share one scale."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import Kind, kind_of
from smidgen.placement import place_quantization

ImportModel = Callable[..., FloatModel]


class _Concat(nn.Module):
    """One operand is read by the concatenation alone, behind a pool; the other elsewhere too."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(2, 3, 1)
        self.right = nn.Conv2d(2, 3, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        right = self.right(x)
        left = nn.functional.max_pool2d(self.left(x), 3, stride=1, padding=1)
        return torch.cat([left, right], dim=1).flatten(1), right


def test_concatenation_shares_with_what_it_alone_reads(import_model: ImportModel) -> None:
    graph = fuse_for_inference(import_model(_Concat(), (2, 4, 4)).graph)
    placement = place_quantization(graph)
    by_kind: dict[Kind, list[str]] = {}
    for node in graph.graph.nodes:
        by_kind.setdefault(kind_of(node), []).append(node.name)
    (concat,) = by_kind[Kind.CONCAT]
    (pool,) = by_kind[Kind.MAX_POOL]
    (flat,) = by_kind[Kind.RESHAPE]
    pool_node = next(node for node in graph.graph.nodes if node.name == pool)
    left = pool_node.all_input_nodes[0].name
    (right,) = set(by_kind[Kind.CONV]) - {left}
    assert placement[left] == placement[pool] == placement[flat] == placement[concat] == concat
    assert placement[right] == right
    assert placement["x0"] == "x0"
