"""Fuses a convolution and the batch norm after it into one module, for training."""

from __future__ import annotations

from torch import fx, nn

from smidgen.passes.fold_batch_norm import is_folded_later
from smidgen.passes.operators import ConvBatchNorm2d, module_of
from smidgen.passes.rewriter import Rewriter, only_input


def fuse_batch_norm(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with each convolution and the batch norm after it as one module.

    Training needs both; conversion folds them. Equal to the source in train and eval mode.
    """
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        if _is_fused_later(source, node):
            continue
        batch_norm = module_of(source, node)
        if isinstance(batch_norm, nn.BatchNorm2d) and _is_fused_later(source, only_input(node)):
            producer = only_input(node)
            conv = module_of(source, producer)
            assert isinstance(conv, nn.Conv2d)
            fused = ConvBatchNorm2d(conv, batch_norm)
            fused.training = source.training
            rewriter.call(node, fused, (only_input(producer),), like=producer)
        else:
            rewriter.copy(node)
    return rewriter.finish()


def _is_fused_later(source: fx.GraphModule, node: fx.Node) -> bool:
    return isinstance(module_of(source, node), nn.Conv2d) and is_folded_later(source, node)
