"""Finds layer normalization in the operators that ONNX files below opset 17 write it as."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import fx, nn

from smidgen.graph import modules
from smidgen.graph.operations import OpKind
from smidgen.passes.operators import module_of, operands
from smidgen.passes.rewriter import Rewriter, only_input

_MOST_EPS = 1.0  # what is added to a variance for another purpose is no eps


@dataclass(frozen=True, slots=True)
class _Match:
    """A normalization of a value, and the nodes that hold its weight and bias."""

    value: fx.Node
    eps: float
    weight: fx.Node
    bias: fx.Node


def fuse_layer_norm(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with one module in place of (x - mean) / sqrt(variance + eps) * w + b.

    Mean and variance are over the last axis; weight and bias have its extent and stay the same
    parameters. Equal to the source up to rounding.
    """
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        match = _match(source, node)
        if match is None:
            rewriter.copy(node)
        else:
            rewriter.call(node, _module(source, match), (match.value,), like=node,
                          op=OpKind.LAYER_NORM)  # fmt: skip
    return rewriter.finish()


def _module(source: fx.GraphModule, match: _Match) -> nn.LayerNorm:
    weight, bias = (_parameter(source, node) for node in (match.weight, match.bias))
    module = nn.LayerNorm(len(weight), match.eps)
    module.weight, module.bias = weight, bias
    return module


def _match(source: fx.GraphModule, node: fx.Node) -> _Match | None:
    if not _is(node, OpKind.ADD):
        return None
    for scaled, bias in (operands(node), operands(node)[::-1]):
        if not _is(scaled, OpKind.MULTIPLY) or len(scaled.users) != 1:
            continue
        for normalized, weight in (operands(scaled), operands(scaled)[::-1]):
            found = _normalized(source, normalized)
            if found is not None and all(
                _is_vector(source, vector, found.value) for vector in (weight, bias)
            ):
                return _Match(found.value, found.eps, weight, bias)
    return None


@dataclass(frozen=True, slots=True)
class _Normalized:
    """What is normalized, and what is added to its variance."""

    value: fx.Node
    eps: float


def _normalized(source: fx.GraphModule, node: fx.Node) -> _Normalized | None:
    """Recognizes (x - mean x) / sqrt(mean (x - mean x)^2 + eps)."""
    if not _is(node, OpKind.DIV):
        return None
    centered, root = operands(node)
    if not _is(root, OpKind.SQRT) or not _is(centered, OpKind.SUB):
        return None
    value, mean = operands(centered)
    total = only_input(root)
    if _mean_of(source, mean) is not value or not _is(total, OpKind.ADD):
        return None
    for variance, number in (operands(total), operands(total)[::-1]):
        eps, squares = _number(source, number), _mean_of(source, variance)
        if eps is None or not 0 < eps <= _MOST_EPS or squares is None:
            continue
        if _is(squares, OpKind.MULTIPLY) and operands(squares) == [centered, centered]:
            return _Normalized(value, eps)
    return None


def _mean_of(source: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Returns what a node is the mean of over the last axis, which stays; None for others."""
    module = module_of(source, node)
    if not isinstance(module, modules.Reduce) or module.function != "mean" or not module.keep_dims:
        return None
    value = only_input(node)
    return value if module.axes == (len(value.meta["shape"]) - 1,) else None


def _is_vector(source: fx.GraphModule, node: fx.Node, value: fx.Node) -> bool:
    """Tells whether a node is a parameter with an element for each of the last axis."""
    if node.op != "get_attr":
        return False
    held = getattr(source, str(node.target))
    return isinstance(held, nn.Parameter) and tuple(held.shape) == (value.meta["shape"][-1],)


def _parameter(source: fx.GraphModule, node: fx.Node) -> nn.Parameter:
    held = getattr(source, str(node.target))
    assert isinstance(held, nn.Parameter), "a vector is one"
    return held


def _number(source: fx.GraphModule, node: fx.Node) -> float | None:
    if node.op != "get_attr":
        return None
    held: torch.Tensor = getattr(source, str(node.target))
    return float(held.detach()) if held.numel() == 1 else None


def _is(node: fx.Node, kind: OpKind) -> bool:
    return node.op != "placeholder" and node.meta.get("op") == kind
