"""Fuses ReLU, ReLU6 and clamps into the operation before them."""

from __future__ import annotations

from torch import fx

from smidgen.passes.operators import (
    CLAMPABLE_KINDS,
    Clamped,
    Kind,
    activation_bounds,
    clamp_of,
    kind_of,
    module_of,
    operator_module,
)
from smidgen.passes.rewriter import Rewriter, has_one_user, only_input


def fuse_activations(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with each clamping activation fused into the operation before it.

    Only where the activation is the sole reader of an operation that can clamp. Equal to the
    source.
    """
    fused = source
    while (once := _fuse_once(fused)) is not None:
        fused = once
    return fused


def _fuse_once(source: fx.GraphModule) -> fx.GraphModule | None:
    """Fuses at most one activation a producer; returns None where nothing is left to fuse."""
    activations = {node for node in source.graph.nodes if _is_fusible(source, node)}
    producers = {only_input(node) for node in activations}
    if not activations:
        return None
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        if node in activations:
            producer = only_input(node)
            inputs = tuple(arg for arg in producer.args if isinstance(arg, fx.Node))
            rewriter.call(node, _clamped(source, producer, node), inputs, like=producer)
        elif node not in producers:
            rewriter.copy(node)
    return rewriter.finish()


def _is_fusible(source: fx.GraphModule, node: fx.Node) -> bool:
    if kind_of(node) is not Kind.CLAMP:
        return False
    producer = only_input(node)
    return kind_of(producer) in CLAMPABLE_KINDS and has_one_user(producer)


def _clamped(source: fx.GraphModule, producer: fx.Node, activation: fx.Node) -> Clamped:
    """Combines the bounds of the activation with those that the producer has already."""
    module = module_of(source, activation)
    assert module is not None
    low, high = activation_bounds(module)
    before = clamp_of(source, producer)
    return Clamped(
        operator_module(source, producer),
        low=min(max(before[0], low), high),
        high=min(max(before[1], low), high),
    )
