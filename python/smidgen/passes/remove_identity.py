"""Removes what changes nothing in a converted model: identities and dropout."""

from __future__ import annotations

from torch import fx

from smidgen.passes.operators import Kind, kind_of
from smidgen.passes.rewriter import Rewriter, only_input


def remove_identity(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph without identities and dropouts; equal to the source in eval mode."""
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        if kind_of(node) is Kind.IDENTITY:
            rewriter.skip(node, only_input(node))
        else:
            rewriter.copy(node)
    return rewriter.finish()
