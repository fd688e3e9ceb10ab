"""Multiply-accumulates of float operations."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from smidgen.formats.pt2 import read_pt2
from smidgen.graph.multiplications import node_multiplications
from tests.python.formats.pt2_files import export


class Products(nn.Module):
    """One of each kind of dot products, on [N, 4, 6, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 10, 3, groups=2)
        self.turned = nn.ConvTranspose2d(4, 6, 2, stride=2)
        self.rows = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (
            self.conv(x),
            self.turned(x),
            self.rows(x),
            torch.matmul(x, x.transpose(2, 3)),
            F.scaled_dot_product_attention(x, x, x),
            torch.relu(x),
        )


def test_each_kind_of_product_is_counted(tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Products().eval(), torch.zeros(2, 4, 6, 8))
    model = read_pt2(path)
    counts = {
        node.operation.kind.value: count
        for node, count in zip(model.nodes, node_multiplications(model, 3), strict=True)
    }
    assert counts == {
        "conv2d": 3 * 10 * 4 * 6 * (2 * 3 * 3),
        "conv_transpose2d": 3 * 4 * 6 * 8 * (6 * 2 * 2),
        "linear": 3 * 4 * 6 * 5 * 8,
        "reshape": 0,
        "transpose": 0,
        "matmul": 3 * 4 * 6 * 6 * 8,
        "scaled_dot_product_attention": 2 * 3 * 4 * 6 * 6 * 8,
        "relu": 0,
    }
