"""The exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Averages the parameters of a model over the steps.

    The share that is kept grows with the steps, min(decay, (1 + n) / (10 + n)), so that the
    start is soon forgotten.

    Args:
        model: The model, whose parameters are averaged; buffers are not.
        decay: Share of the average that a step keeps, 0 to below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        self._decay = decay
        self.step_count = 0
        self.values = {name: p.detach().clone() for name, p in self._parameters.items()}

    def update(self) -> None:
        """Moves the average towards the parameters as they are now."""
        self.step_count += 1
        kept = min(self._decay, (1 + self.step_count) / (10 + self.step_count))
        for name, parameter in self._parameters.items():
            self.values[name].lerp_(parameter.detach(), 1.0 - kept)

    def restore(self, values: Mapping[str, torch.Tensor], step_count: int) -> None:
        """Goes on where another average was."""
        for name, value in self.values.items():
            value.copy_(values[name])
        self.step_count = step_count

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the average in place of the parameters for a while."""
        trained = {name: p.detach().clone() for name, p in self._parameters.items()}
        self._set(self.values)
        try:
            yield
        finally:
            self._set(trained)

    def _set(self, values: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(values[name])
