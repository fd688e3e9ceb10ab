"""Runs float graphs on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from smidgen.evaluation import Arrays
from smidgen.tensor_spec import TensorSpec


def first_float_output(
    graph: fx.GraphModule, batch: Arrays, specs: Sequence[TensorSpec]
) -> NDArray[np.float32]:
    """Returns the first output of a graph in eval mode for one array an input."""
    with torch.inference_mode():
        outputs = graph(*input_tensors(batch, specs))
    first: torch.Tensor = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    return first.numpy()


def float_values(
    graph: fx.GraphModule, batch: Arrays, specs: Sequence[TensorSpec]
) -> dict[str, NDArray[np.float32]]:
    """Returns what every node of a graph in eval mode computes, by node name."""
    recorder = _Recorder(graph)
    with torch.inference_mode():
        recorder.run(*input_tensors(batch, specs))
    return recorder.values


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps every node's value."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.values: dict[str, NDArray[np.float32]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node and keeps its value."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            self.values[n.name] = value.numpy()
        return value


def input_tensors(batch: Arrays, specs: Sequence[TensorSpec]) -> list[torch.Tensor]:
    """Returns a graph's arguments, which share no memory with the batch."""
    return [torch.from_numpy(np.array(batch[spec.name])) for spec in specs]
