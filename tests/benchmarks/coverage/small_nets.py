"""Architectures of tests, small enough to be taken through all stages."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.coverage.architecture import Architecture, Input


class Net(nn.Module):
    """A convolution with its norm, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = torch.relu(self.norm(self.conv(image)))
        scores: torch.Tensor = self.head(features.mean((2, 3)))
        return scores


def architecture(
    make: Callable[[], nn.Module] = Net, *, name: str = "net", family: str = "classifier"
) -> Architecture:
    """Returns a row of the run for images of 8 x 8 pixels."""
    return Architecture(name, "tests", family, (Input("image", (3, 8, 8)),), make)
