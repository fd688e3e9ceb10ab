"""Gives linear layers the form that quantizes each row of its input while it runs."""

from __future__ import annotations

from torch import fx

from smidgen.graph.operations import OpKind
from smidgen.passes.operators import UNBOUNDED, Kind, clamp_of, kind_of
from smidgen.passes.rewriter import Rewriter


def quantize_dynamically(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with linear layers that read and give floats; equal to the source.

    Those with a fused clamp stay as they are, as their integer step clamps for nothing.
    """
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        rewriter.copy(node)
        if kind_of(node) is Kind.LINEAR and clamp_of(source, node) == UNBOUNDED:
            rewriter.copied(node).meta["op"] = OpKind.DYNAMIC_LINEAR
    return rewriter.finish()
