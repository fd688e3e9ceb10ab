"""The parameters and buffers of a module as they are, whatever its state dict makes of them.

A state dict is what a training results in: there a learned step is the range that it gives. To go
on as if it had never stopped, a training needs the parameters themselves.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


def live_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Returns all parameters and buffers by their names, shared ones once."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def restore_live_state(module: nn.Module, values: Mapping[str, torch.Tensor]) -> None:
    """Gives all parameters and buffers the values that live_state returned.

    Raises:
        ValueError: they are those of another module.
    """
    present = live_state(module)
    if _forms(present) != _forms(values):
        raise ValueError("the tensors are those of another module")
    with torch.no_grad():
        for name, tensor in present.items():
            tensor.copy_(values[name])


def _forms(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
