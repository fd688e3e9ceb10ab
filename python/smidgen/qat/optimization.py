"""The optimizer, and the length of gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from smidgen.config import OptimizerConfig, OptimizerKind
from smidgen.errors import InvalidModelError

_LEAST_DECAYED_AXES = 2


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Returns an optimizer of all parameters; its step size is 0 until set_learning_rate.

    Weight decay acts on weights alone: pulling a norm's gamma or a bias to 0 shrinks no weight.

    Raises:
        InvalidModelError: There is nothing to train.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise InvalidModelError(
            "The model has no parameters, only buffers and constants, which training leaves as "
            "they are. Convert it without training, or register what shall be trained as "
            "parameters and export again.",
            reason="NO_PARAMETERS",
        )
    groups = [
        {
            "params": [p for p in parameters if p.dim() >= _LEAST_DECAYED_AXES],
            "weight_decay": config.weight_decay,
        },
        {"params": [p for p in parameters if p.dim() < _LEAST_DECAYED_AXES], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.kind is OptimizerKind.SGD:
        return torch.optim.SGD(groups, lr=0.0, momentum=config.momentum)
    if config.kind is OptimizerKind.ADAMW:
        return torch.optim.AdamW(groups, lr=0.0)
    return torch.optim.Adam(groups, lr=0.0)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets the step size."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def clip_gradients(parameters: Iterable[nn.Parameter], most: float | None) -> float:
    """Returns the length of all gradients together, and shortens them to `most`."""
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm([p.grad for p in with_gradient if p.grad is not None])
    if most is not None:
        torch.nn.utils.clip_grads_with_norm_(with_gradient, most, norm)
    return float(norm)
