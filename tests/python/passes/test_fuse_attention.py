"""Attention is found in every form that exporters write it in, and in no other."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from smidgen.float_model import FloatModel
from smidgen.passes import fuse_attention

ImportModel = Callable[..., FloatModel]
Form = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

HEADS, SIZE, TOKENS = 3, 4, 5
ROOT = math.sqrt(1 / math.sqrt(SIZE))


class _Net(nn.Module):
    """Attention of one sequence to itself; the first feature tells which tokens are there."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(HEADS * SIZE, HEADS * SIZE) for _ in range(3))
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        split = [layer(x).unflatten(2, (HEADS, SIZE)) for layer in self.layers]
        keep = (x[:, :, 0] > -10.0).reshape(-1, 1, 1, TOKENS)
        query, key, value = (part.transpose(1, 2) for part in split)
        return self.form(query, key, value, keep).transpose(1, 2).flatten(2)


def _mixed(scores: Tensor, value: Tensor) -> Tensor:
    return torch.softmax(scores, -1) @ value


def _left_out(scores: Tensor, keep: Tensor) -> Tensor:
    return torch.where(keep, scores, torch.finfo(torch.float32).min)


def _emptied(q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
    weights = torch.softmax(_left_out(q @ k.transpose(2, 3) / 2, keep), -1)
    return torch.where(keep, weights, 0.0) @ v


FORMS: dict[str, Form] = {
    "unscaled": lambda q, k, v, _: _mixed(q @ k.transpose(2, 3), v),
    "quotient": lambda q, k, v, _: _mixed(q @ k.transpose(2, 3) / 2.0, v),
    "product in front": lambda q, k, v, _: _mixed(0.5 * (q @ k.transpose(2, 3)), v),
    "scaled queries": lambda q, k, v, _: _mixed((q / 2.0) @ k.transpose(2, 3), v),
    "scaled keys": lambda q, k, v, _: _mixed(q @ (k * 0.5).transpose(2, 3), v),
    "split scale": lambda q, k, v, _: _mixed((q * ROOT) @ (k.transpose(2, 3) * ROOT), v),
    "mask added": lambda q, k, v, keep: _mixed(
        q @ k.transpose(2, 3) / 2 + (1.0 - keep.float()) * -1e4, v
    ),
    "mask in front": lambda q, k, v, keep: _mixed(
        (1.0 - keep.float()) * -1e4 + q @ k.transpose(2, 3) / 2, v
    ),
    "mask chooses": lambda q, k, v, keep: _mixed(_left_out(q @ k.transpose(2, 3) / 2, keep), v),
    "mask empties": _emptied,
}

OTHERS: dict[str, Form] = {
    "negative scale": lambda q, k, v, _: _mixed(q @ k.transpose(2, 3) * -0.5, v),
    "other number": lambda q, k, v, keep: _mixed(torch.where(keep, q @ k.transpose(2, 3), -1.0), v),
    "other weights": lambda q, k, v, keep: (
        torch.where(keep, torch.softmax(q @ k.transpose(2, 3), -1), 0.0) @ v
    ),
    "keys as they are": lambda q, k, v, _: _mixed(
        q @ k.transpose(2, 3).transpose(2, 3).reshape(-1, HEADS, SIZE, TOKENS), v
    ),
}


def made(form: Form, import_model: ImportModel) -> tuple[int, float]:
    """Returns how many attentions are found, and how far results are from those of the source."""
    torch.manual_seed(0)
    graph = import_model(_Net(form), (TOKENS, HEADS * SIZE)).graph
    fused = fuse_attention(graph)
    kinds = [str(node.meta.get("op")) for node in fused.graph.nodes]
    x = torch.randn(2, TOKENS, HEADS * SIZE, generator=torch.Generator().manual_seed(1))
    x[1, 3:, 0] = -20.0
    with torch.no_grad():
        return kinds.count("attention"), float((fused(x) - graph(x)).abs().max())


@pytest.mark.parametrize("name", FORMS)
def test_a_form_of_attention_is_found(name: str, import_model: ImportModel) -> None:
    count, difference = made(FORMS[name], import_model)
    assert count == 1
    assert difference < 1e-5


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_attention_stays(name: str, import_model: ImportModel) -> None:
    assert made(OTHERS[name], import_model) == (0, 0.0)
