"""Turns observers, batch statistics and fake quantization of a prepared graph on and off."""

from __future__ import annotations

import torch
from torch import fx, nn

from smidgen.passes.operators import UNBOUNDED, Clamped, clamp_of, module_of
from smidgen.passes.rewriter import Rewriter
from smidgen.qat.fake_quantize import FakeQuantize, Requantize
from smidgen.qat.modules import QATConvBatchNorm2d, QATLayer


def set_observers(prepared: fx.GraphModule, is_on: bool) -> None:
    """Lets the ranges of activations follow the data, or freezes them."""
    for module in prepared.modules():
        if isinstance(module, FakeQuantize):
            module.train(is_on)


def set_batch_statistics(prepared: fx.GraphModule, is_on: bool) -> None:
    """Lets batch norm use and follow the statistics of the batch, or freezes and folds it."""
    for module in prepared.modules():
        # torch has no public name for batch norms of any dimension.
        if isinstance(module, QATConvBatchNorm2d | nn.modules.batchnorm._BatchNorm):
            module.train(is_on)


def without_fake_quantization(prepared: fx.GraphModule) -> fx.GraphModule:
    """Returns the float graph below a prepared one: same nodes, same parameters, no rounding.

    Nodes that fake-quantized are there as identities, under their names.
    """
    rewriter = Rewriter(prepared)
    for node in prepared.graph.nodes:
        module = module_of(prepared, node)
        bare: nn.Module
        if isinstance(module, FakeQuantize | Requantize):
            bare = nn.Identity()
        elif isinstance(module, QATLayer):
            bare = _Bare(module)
            bounds = clamp_of(prepared, node)
            if bounds != UNBOUNDED:
                bare = Clamped(bare, low=bounds[0], high=bounds[1])
        else:
            rewriter.copy(node)
            continue
        rewriter.call(node, bare, tuple(node.all_input_nodes), like=node)
    return rewriter.finish()


class _Bare(nn.Module):
    """A layer with its weights as they are."""

    def __init__(self, quantized: QATLayer) -> None:
        super().__init__()
        self.layer = quantized.layer
        self.batch_norm = getattr(quantized, "batch_norm", nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Runs the layer, and batch norm behind a convolution that has one."""
        y: torch.Tensor = self.batch_norm(self.layer(x))
        return y
