"""Rewrites of float graphs, one a file; each takes a graph and returns a new one."""

from __future__ import annotations

import copy

from torch import fx

from smidgen.passes.absorb_constants import absorb_constants
from smidgen.passes.fold_batch_norm import fold_batch_norm
from smidgen.passes.fuse_activations import fuse_activations
from smidgen.passes.fuse_attention import fuse_attention
from smidgen.passes.fuse_batch_norm import fuse_batch_norm
from smidgen.passes.fuse_bias import fuse_bias
from smidgen.passes.fuse_gelu import fuse_gelu
from smidgen.passes.fuse_layer_norm import fuse_layer_norm
from smidgen.passes.keep_in_float import keep_in_float, quantize_everywhere
from smidgen.passes.quantize_dynamically import quantize_dynamically
from smidgen.passes.remove_identity import remove_identity

__all__ = [
    "absorb_constants",
    "fold_batch_norm",
    "fuse_activations",
    "fuse_attention",
    "fuse_batch_norm",
    "fuse_bias",
    "fuse_for_inference",
    "fuse_for_training",
    "fuse_gelu",
    "fuse_layer_norm",
    "keep_in_float",
    "quantize_dynamically",
    "quantize_everywhere",
    "remove_identity",
]


def fuse_for_inference(source: fx.GraphModule) -> fx.GraphModule:
    """Returns an independent copy in eval mode with one node for each integer step."""
    graph = copy.deepcopy(source).eval()
    return fuse_activations(fold_batch_norm(_simplified(graph)))


def fuse_for_training(source: fx.GraphModule) -> fx.GraphModule:
    """Returns an independent copy with the nodes of fuse_for_inference and batch norm kept.

    Dropout is gone here too: the teacher's outputs and the ranges stay those of inference.
    """
    graph = copy.deepcopy(source).eval()
    return fuse_activations(fold_batch_norm(fuse_batch_norm(_simplified(graph))))


def _simplified(graph: fx.GraphModule) -> fx.GraphModule:
    whole = fuse_layer_norm(fuse_attention(remove_identity(graph)))
    return absorb_constants(fuse_gelu(fuse_bias(whole)))
