"""The layers whose weights may be changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from smidgen.passes.operators import Kind, kind_of, module_of
from smidgen.qparams import UINT8_MAX, UINT8_MIN, QParams
from smidgen.tensor_spec import TensorSpec

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


def source_of(graph: fx.GraphModule, name: str) -> str:
    """Returns the node that a layer's node reads."""
    node = next(node for node in graph.graph.nodes if node.name == name)
    return str(node.all_input_nodes[0].name)


def fake_quantized(x: torch.Tensor, qparams: QParams) -> torch.Tensor:
    """Returns the real values that uint8 leaves of x."""
    levels = torch.round(x / qparams.scale) + qparams.zero_point
    return (levels.clamp(UINT8_MIN, UINT8_MAX) - qparams.zero_point) * qparams.scale


def show_inputs(
    graph: fx.GraphModule,
    observers: Mapping[str, Callable[[torch.Tensor], None]],
    batches: Iterable[Mapping[str, NDArray[Any]]],
    inputs: tuple[TensorSpec, ...],
) -> None:
    """Runs a graph in float on all batches and shows layers' inputs to observers, by their nodes.

    Args:
        graph: A fused graph.
        observers: By the layers' nodes.
        batches: Samples by input name.
        inputs: The model's inputs in order.
    """
    runner = _LayerInputs(graph, observers)
    for batch in batches:
        with torch.inference_mode():
            runner.run(*(torch.from_numpy(np.array(batch[spec.name])) for spec in inputs))


class _LayerInputs(fx.Interpreter):
    """Runs a graph and shows the inputs of layers to observers."""

    def __init__(
        self, graph: fx.GraphModule, observers: Mapping[str, Callable[[torch.Tensor], None]]
    ) -> None:
        super().__init__(graph)
        self._observers = observers

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node."""
        observe = self._observers.get(n.name)
        if observe is not None:
            observe(self.env[n.all_input_nodes[0]])
        return super().run_node(n)
