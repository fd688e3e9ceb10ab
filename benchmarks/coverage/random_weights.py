"""Random weights with which a network's activations stay of normal size at any depth."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
_NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


@torch.no_grad()
def randomize(model: nn.Module, inputs: tuple[torch.Tensor, ...], seed: int = 0) -> None:
    """Draws all weights anew, and lets batch norms take their statistics from a batch.

    Products get weights that keep the variance of what they read, convolutions twice that for the
    ReLU behind them. Batch norms take their statistics from a batch that runs through the network,
    so that they normalize as in a trained net. Their scales are uniform in 0.5 to 1 and their
    shifts about 1: with shifts about 0 each layer of batch norm and ReLU of a random net amplifies
    any difference by about 1.7 dB, which trained nets do not, and after forty layers rounding
    errors are as large as the signal.

    Args:
        model: The network; it is left in evaluation mode.
        inputs: A batch.
        seed: Of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        _draw(module, generator)
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    moments = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    if norms:
        model(*inputs)
    for norm, momentum in zip(norms, moments, strict=True):
        norm.eval()
        norm.momentum = momentum


def _draw(module: nn.Module, generator: torch.Generator) -> None:
    weight: object = getattr(module, "weight", None)
    bias: object = getattr(module, "bias", None)
    if isinstance(module, (*_CONVOLUTIONS, nn.Linear)) and isinstance(weight, torch.Tensor):
        fan_in = weight[0].numel()
        gain = 1.0 if isinstance(module, nn.Linear) else 2.0
        weight.normal_(0.0, math.sqrt(gain / fan_in), generator=generator)
    elif isinstance(module, nn.Embedding):
        module.weight.normal_(0.0, 1.0, generator=generator)
    elif isinstance(module, _NORMS) and isinstance(weight, torch.Tensor):
        weight.uniform_(0.5, 1.0, generator=generator)
    else:
        return
    if isinstance(bias, torch.Tensor):
        mean = 1.0 if isinstance(module, _BatchNorm) else 0.0
        bias.normal_(mean, 0.1, generator=generator)
