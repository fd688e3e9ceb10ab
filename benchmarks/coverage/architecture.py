"""What an architecture of the coverage run is: a network with random weights and its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import nn


class Format(StrEnum):
    """How a network is handed over."""

    PT2 = "pt2"
    ONNX = "onnx"


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a network: shape of a sample, and how many different integers it takes.

    Attributes:
        name: What forward calls it.
        shape: Without the batch.
        count: Integers are 0 to count - 1; None means normally distributed float32.
        is_mask: Integers are ones at the beginning of each sample and zeros behind.
    """

    name: str
    shape: tuple[int, ...]
    count: int | None = None
    is_mask: bool = False

    def sample(self, batch: int, generator: torch.Generator) -> torch.Tensor:
        """Draws a batch."""
        shape = (batch, *self.shape)
        if self.is_mask:
            lengths = torch.randint(1, self.shape[0] + 1, (batch, 1), generator=generator)
            return (torch.arange(self.shape[0]) < lengths).long()
        if self.count is None:
            return torch.randn(shape, generator=generator)
        return torch.randint(self.count, shape, generator=generator)


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row of the coverage run.

    Attributes:
        name: Its name in the table.
        library: Where it comes from.
        family: Architectures with the same bound on quantization noise.
        inputs: The inputs of forward in order.
        make: Builds the network, with whatever weights its library starts with.
        through_onnx: Whether the run imports it through ONNX as well.
    """

    name: str
    library: str
    family: str
    inputs: tuple[Input, ...]
    make: Callable[[], nn.Module]
    through_onnx: bool = False
