"""Marks the layers that a conversion leaves in float."""

from __future__ import annotations

from collections.abc import Collection

from torch import fx

from smidgen.passes.operators import STAYS_FLOAT, stays_float
from smidgen.passes.rewriter import Rewriter


def keep_in_float(source: fx.GraphModule, layers: Collection[str]) -> fx.GraphModule:
    """Returns the graph with these layers, by node name, as steps on floats; others stay."""
    if not layers:
        return source
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        rewriter.copy(node)
        if node.name in layers:
            rewriter.copied(node).meta[STAYS_FLOAT] = True
    return rewriter.finish()


def quantize_everywhere(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph as it was before keep_in_float."""
    if not any(stays_float(node) for node in source.graph.nodes):
        return source
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        rewriter.copy(node)
        rewriter.copied(node).meta.pop(STAYS_FLOAT, None)
    return rewriter.finish()
