"""Fuses scaled dot-product attention and what splits and joins its heads into one module."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx, nn

from smidgen.graph import modules
from smidgen.graph.operations import OpKind
from smidgen.passes.operators import module_of, operands
from smidgen.passes.rewriter import Rewriter, has_one_user, only_input

HEADS_FIRST = (0, 2, 1, 3)  # [N, S, H, D] to [N, H, S, D] and back
LAST_AXES_SWAPPED = (0, 1, 3, 2)


@dataclass(frozen=True, slots=True)
class _Match:
    """One attention: what it reads as [N, S, features], and the node that has its result."""

    inputs: tuple[fx.Node, ...]
    heads: int
    scale: float
    result: fx.Node


def fuse_attention(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with one module for each attention whose heads are split and joined.

    Only where the features are split into heads and joined again around it, as multi-head attention
    does; a mask may keep pairs of tokens apart, but not differently for each head. Equal to the
    source up to rounding.
    """
    matches = {
        match.result: match
        for node in source.graph.nodes
        if node.op == "call_module" and (match := _match(source, node)) is not None
    }
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        if node in matches:
            match = matches[node]
            module = modules.Attention(match.heads, match.scale)
            rewriter.call(node, module, match.inputs, like=node, op=OpKind.ATTENTION)
        else:
            rewriter.copy(node)
    return rewriter.finish()


@dataclass(frozen=True, slots=True)
class _Heads:
    """One attention of heads: its operands [N, H, S, D], masks, and the node of its result."""

    operands: tuple[fx.Node, ...]
    masks: tuple[fx.Node, ...]
    scale: float
    result: fx.Node


def _match(graph: fx.GraphModule, node: fx.Node) -> _Match | None:
    module = module_of(graph, node)
    found: _Heads | None = None
    if isinstance(module, modules.ScaledDotProductAttention) and not module.is_causal:
        arguments = tuple(operands(node))
        found = _Heads(arguments[:3], arguments[3:], module.scale, node)
    elif isinstance(module, nn.Softmax) and module.dim == 3:
        found = _written_out(graph, node)
    return None if found is None else _rows(graph, found)


def _written_out(graph: fx.GraphModule, softmax: fx.Node) -> _Heads | None:
    """Recognizes softmax(query @ key.T * scale + mask) @ value around a softmax."""
    users = list(softmax.users)
    if len(users) != 1 or users[0].meta.get("op") != OpKind.MATMUL:
        return None
    weights, value = operands(users[0])
    scores, masks, scale = only_input(softmax), [], 1.0
    if scores.meta["op"] == OpKind.ADD:
        scores, mask = operands(scores)
        masks.append(mask)
    while scores.meta["op"] in (OpKind.MULTIPLY, OpKind.DIV):
        is_product = scores.meta["op"] == OpKind.MULTIPLY
        scores, factor = operands(scores)
        number = _number(graph, factor)
        if number is None or number <= 0:
            return None
        scale *= number if is_product else 1 / number
    if weights is not softmax or scores.meta["op"] != OpKind.MATMUL:
        return None
    query, key = operands(scores)
    untransposed = _untransposed(graph, key)
    if untransposed is None:
        return None
    return _Heads((query, untransposed, value), tuple(masks), scale, users[0])


def _rows(graph: fx.GraphModule, found: _Heads) -> _Match | None:
    """Looks for what splits and joins the heads around an attention."""
    split = [_unsplit(graph, operand) for operand in found.operands]
    inputs = tuple(operand for operand in split if operand is not None)
    result = _joined(graph, found.result)
    if len(inputs) != 3 or result is None:
        return None
    shapes = {tuple(operand.meta["shape"]) for operand in (*inputs, result)}
    masks = tuple(map(_unexpanded, found.masks))
    if len(shapes) != 1 or not all(_is_shared_by_heads(mask, inputs[0]) for mask in masks):
        return None
    heads = int(found.result.meta["shape"][1])
    return _Match((*inputs, *masks), heads, found.scale, result)


def _number(graph: fx.GraphModule, node: fx.Node) -> float | None:
    """Returns the one number that a constant holds."""
    if node.op != "get_attr":
        return None
    value = getattr(graph, str(node.target))
    return float(value.detach()) if value.numel() == 1 else None


def _unsplit(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Returns what has been split into heads, or None if nothing has."""
    if not _swaps_heads(graph, node):
        return None
    split = only_input(node)
    if split.meta["op"] != OpKind.RESHAPE:
        return None
    whole = only_input(split)
    shape, parts = whole.meta["shape"], split.meta["shape"]
    return whole if len(shape) == 3 and tuple(shape[:2]) == tuple(parts[:2]) else None


def _untransposed(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Returns keys [N, H, S, D] of which this is the transpose."""
    module = module_of(graph, node)
    if not isinstance(module, modules.Transpose) or module.permutation != LAST_AXES_SWAPPED:
        return None
    return only_input(node)


def _joined(graph: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Returns the node at which all heads lie side by side again, or None."""
    for is_next in (lambda user: _swaps_heads(graph, user), _merges_last_axes):
        users = list(node.users)
        if not has_one_user(node) or not is_next(users[0]):
            return None
        node = users[0]
    return node


def _swaps_heads(graph: fx.GraphModule, node: fx.Node) -> bool:
    module = module_of(graph, node)
    return isinstance(module, modules.Transpose) and module.permutation == HEADS_FIRST


def _merges_last_axes(node: fx.Node) -> bool:
    before, after = only_input(node).meta["shape"], node.meta["shape"]
    is_reshape = node.op != "output" and node.meta["op"] == OpKind.RESHAPE
    return is_reshape and len(after) == 3 and tuple(before[:2]) == tuple(after[:2])


def _unexpanded(node: fx.Node) -> fx.Node:
    """Returns what was repeated along axes; the step repeats masks itself."""
    while node.op == "call_function" and node.meta["op"] == OpKind.EXPAND:
        inner = only_input(node)
        if len(inner.meta["shape"]) != len(node.meta["shape"]):
            break
        node = inner
    return node


def _is_shared_by_heads(mask: fx.Node, query: fx.Node) -> bool:
    shape = mask.meta["shape"]
    batch, tokens = query.meta["shape"][:2]
    return (
        len(shape) == 4
        and shape[0] in (batch, 1)
        and shape[1] == 1
        and shape[2] in (tokens, 1)
        and shape[3] == tokens
    )
