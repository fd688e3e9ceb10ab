"""Says why a training step gave a loss or a gradient that is not finite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from smidgen.errors import TrainingError
from smidgen.node_place import place_of

_LARGEST = torch.finfo(torch.float32).max
LARGEST_SQUARED = math.sqrt(_LARGEST)
"""Values above it have no square in float32, which variances and norms of gradients need."""


def diverged_error(
    graph: fx.GraphModule,
    inputs: Sequence[torch.Tensor],
    *,
    loss: float,
    norm: float,
    step: int,
) -> TrainingError:
    """Runs the graph once more to tell values that are too large from steps that are too long.

    Args:
        graph: What was trained, with the parameters that the step began with.
        inputs: The batch of the step.
        loss: The step's loss.
        norm: Of its gradient.
        step: Its number, from 1.
    """
    found = f"the loss is {loss} and the gradient's norm {norm} at step {step}"
    seen = _Recorder(graph)
    with torch.no_grad():
        seen.run(*inputs)
    if seen.first is None:
        return TrainingError(
            f"{found}, expected finite values; lower the learning rate, or rescale data and labels "
            "that are far from 1",
            step=step,
        )
    # Before the first update the values are those of the model and of the data alone.
    advice = "" if step == 1 else "lower the learning rate, or "
    return TrainingError(
        f"{found}, for activation {seen.first.name} ({place_of(seen.first)}) reaches "
        f"{seen.reach:.4g}, and squares leave float32 at {LARGEST_SQUARED:.4g}; {advice}rescale "
        "the data or the model's weights so that its values are nearer to 1",
        step=step,
        node=seen.first.name,
    )


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps the first node whose values are too large, or no numbers."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.extra_traceback = False
        self.first: fx.Node | None = None
        self.reach = 0.0

    def run_node(self, n: fx.Node) -> Any:
        """Runs one node."""
        value = super().run_node(n)
        is_tensor = isinstance(value, torch.Tensor) and value.is_floating_point()
        if self.first is None and n.op != "get_attr" and is_tensor and value.numel():
            reach = float(value.abs().max())
            if not reach <= LARGEST_SQUARED:  # a NaN is within no bound
                self.first, self.reach = n, reach
        return value
