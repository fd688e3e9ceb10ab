"""Random weights with which a net's activations neither die nor explode."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def randomize(net: nn.Module, sample: Tensor) -> None:
    """Draws scales and shifts of the batch norms, and their statistics from the sample.

    Args:
        net: The net; its convolutions and linear layers keep what their constructors drew.
        sample: Inputs, [N, C, H, W].
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0.0, 0.2)
        norm.reset_running_stats()
        norm.momentum = None  # the statistics of the sample, not a moving average
    net.train()
    with torch.no_grad():
        net(sample)
    net.eval()
