"""The layers whose weights may be changed."""

from __future__ import annotations

from collections import Counter

import torch
from torch import fx, nn

from smidgen.passes.operators import Kind, kind_of, module_of

Layer = nn.Conv2d | nn.Linear


def own_layers(graph: fx.GraphModule) -> dict[str, Layer]:
    """Returns the convolutions and linear layers by node, those that only one node calls."""
    calls = Counter(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
    found: dict[str, Layer] = {}
    for node in graph.graph.nodes:
        if kind_of(node) in {Kind.CONV, Kind.LINEAR} and calls[str(node.target)] == 1:
            module = module_of(graph, node)
            if isinstance(module, nn.Conv2d | nn.Linear):
                found[node.name] = module
    return found


def set_parameters(layer: Layer, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
    """Replaces a layer's parameters; tensors that other layers share stay as they are."""
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)


def per_output(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Shapes [O] as [O, 1, ...] to go with a weight."""
    return values.reshape(-1, *([1] * (weight.ndim - 1)))
