"""What is advised where a training diverges."""

from __future__ import annotations

import math

import pytest
import torch
from torch import fx, nn

from smidgen.qat.divergence import LARGEST_SQUARED, diverged_error


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x * self.factor).sum()


@pytest.mark.parametrize(
    ("factor", "step", "ending"),
    [
        (1e19, 1, "lower the learning rate, or rescale data and labels that are far from 1"),
        (2e19, 1, f"{LARGEST_SQUARED:.4g}; rescale the data or the model's weights so that its "
         "values are nearer to 1"),
        (2e19, 5, f"{LARGEST_SQUARED:.4g}; lower the learning rate, or rescale the data or the "
         "model's weights so that its values are nearer to 1"),
        (math.nan, 5, "so that its values are nearer to 1"),
    ],
)  # fmt: skip
def test_large_values_are_told_from_long_steps(factor: float, step: int, ending: str) -> None:
    graph = fx.symbolic_trace(_Times(factor))
    error = diverged_error(graph, [torch.ones(1)], loss=math.inf, norm=math.nan, step=step)
    assert error.reason == "TRAINING_DIVERGED"
    assert error.message.startswith(f"the loss is inf and the gradient's norm nan at step {step}, ")
    assert error.message.endswith(ending)
    assert error.metadata.get("node") == (None if factor == 1e19 else "mul")
