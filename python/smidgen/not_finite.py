"""Says where a network leaves float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from smidgen.errors import CalibrationError
from smidgen.node_place import place_of

_LARGEST = float(np.finfo(np.float32).max)


def not_finite_error(
    graph: fx.GraphModule, inputs: Sequence[torch.Tensor], node: fx.Node
) -> CalibrationError:
    """Runs a graph again and says which operation made the first value that is not finite.

    Args:
        graph: The graph.
        inputs: Its inputs, for which the value of `node` is not finite.
        node: A node of the graph.
    """
    recorder = _Recorder(graph)
    with torch.inference_mode():
        recorder.run(*inputs)
    origin = _origin(node, recorder.found)
    found = recorder.found.get(origin.name, "no finite value")
    made = "" if origin is node else f", which begins at {origin.name} ({place_of(origin)})"
    operands = [recorder.largest.get(read.name, 0.0) for read in origin.all_input_nodes]
    reach = max(operands, default=0.0)
    return CalibrationError(
        f"activation {node.name} ({place_of(node)}) is not finite for finite inputs{made}: it "
        f"gives {found} for values of up to {reach:.4g}, and float32 ends at {_LARGEST:.4g}; scale "
        "the model's weights or inputs so that values stay within float32 and within what the "
        "operation is defined for, or leave out the samples that do not",
        reason="ACTIVATION_NOT_FINITE",
        node=node.name,
        origin=origin.name,
    )


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps what is not finite, and how large values are."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.found: dict[str, str] = {}
        self.largest: dict[str, float] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node."""
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel():
            self.largest[n.name] = float(value.abs().max())
            if bool(value.isnan().any()):
                self.found[n.name] = "NaN"
            elif bool(value.isinf().any()):
                self.found[n.name] = "an infinity"
        return value


def _origin(node: fx.Node, found: dict[str, str]) -> fx.Node:
    """Follows what is not finite to the operation whose operands all are."""
    while True:
        before = next((read for read in node.all_input_nodes if read.name in found), None)
        if before is None:
            return node
        node = before
