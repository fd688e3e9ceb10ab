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
HEADS_FIRST_SWAPPED = (0, 2, 3, 1)  # both at once
LEFT_OUT = -1e30  # a score that has no weight beside any other


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
    """One attention of heads: rows [N, S, H * D] of its operands, masks, and its result's node."""

    rows: tuple[fx.Node | None, ...]
    masks: tuple[fx.Node, ...]
    scale: float
    result: fx.Node


def _match(graph: fx.GraphModule, node: fx.Node) -> _Match | None:
    module = module_of(graph, node)
    found: _Heads | None = None
    if isinstance(module, modules.ScaledDotProductAttention) and not module.is_causal:
        arguments = tuple(operands(node))
        rows = tuple(_unsplit(graph, operand) for operand in arguments[:3])
        found = _Heads(rows, arguments[3:], module.scale, node)
    elif isinstance(module, nn.Softmax) and module.dim == 3:
        found = _written_out(graph, node)
    return None if found is None else _whole(graph, found)


def _written_out(graph: fx.GraphModule, softmax: fx.Node) -> _Heads | None:
    """Recognizes softmax(query @ key.T * scale + mask) @ value around a softmax.

    The scale may be that of the queries or of the keys, or be split among them. A mask of truth
    values may take the place of the scores that it leaves out, and of their weights after it.
    """
    unmasked = _without_mask(graph, only_input(softmax))
    weights = _emptied(graph, softmax, unmasked.masks)
    users = list(weights.users)
    if len(users) != 1 or users[0].meta.get("op") != OpKind.MATMUL:
        return None
    left, value = operands(users[0])
    product = _unscaled(graph, unmasked.scores)
    if left is not weights or product is None or product.node.meta["op"] != OpKind.MATMUL:
        return None
    query, key = (_unscaled(graph, operand) for operand in operands(product.node))
    if query is None or key is None:
        return None
    key_rows, key_factor = _key_rows(graph, key.node)
    rows = (_unsplit(graph, query.node), key_rows, _unsplit(graph, value))
    scale = product.factor * query.factor * key.factor * key_factor
    return _Heads(rows, unmasked.masks, scale, users[0])


@dataclass(frozen=True, slots=True)
class _Unmasked:
    """Scores, and the masks that they were given."""

    scores: fx.Node
    masks: tuple[fx.Node, ...] = ()


def _without_mask(graph: fx.GraphModule, scores: fx.Node) -> _Unmasked:
    if scores.meta.get("op") == OpKind.ADD:
        for found, mask in (operands(scores), operands(scores)[::-1]):
            product = _unscaled(graph, found)
            if product is not None and product.node.meta.get("op") == OpKind.MATMUL:
                return _Unmasked(found, (mask,))
    if scores.meta.get("op") == OpKind.WHERE:
        mask, found, other = operands(scores)
        number = _number(graph, other)
        if number is not None and number <= LEFT_OUT:
            return _Unmasked(found, (mask,))
    return _Unmasked(scores)


def _emptied(graph: fx.GraphModule, weights: fx.Node, masks: tuple[fx.Node, ...]) -> fx.Node:
    """Returns the weights that are 0 wherever the mask leaves scores out, or those given."""
    users = list(weights.users)
    if len(users) != 1 or users[0].meta.get("op") != OpKind.WHERE:
        return weights
    mask, found, other = operands(users[0])
    is_emptied = found is weights and _number(graph, other) == 0.0
    return users[0] if is_emptied and masks == (mask,) else weights


@dataclass(frozen=True, slots=True)
class _Scaled:
    """A node, and by what positive number its value was multiplied."""

    node: fx.Node
    factor: float = 1.0


def _unscaled(graph: fx.GraphModule, node: fx.Node) -> _Scaled | None:
    """Follows products and quotients with numbers; None where one is not positive."""
    factor = 1.0
    while node.meta.get("op") in (OpKind.MULTIPLY, OpKind.DIV):
        first, second = operands(node)
        is_product = node.meta["op"] == OpKind.MULTIPLY
        number = _number(graph, second)
        if number is None and is_product:
            first, number = second, _number(graph, first)
        if number is None or number <= 0 or first.meta["shape"] != node.meta["shape"]:
            return None
        factor *= number if is_product else 1 / number
        node = first
    return _Scaled(node, factor)


def _key_rows(graph: fx.GraphModule, node: fx.Node) -> tuple[fx.Node | None, float]:
    """Returns the rows of which this is the transpose by heads, and by what they are scaled."""
    module = module_of(graph, node)
    if not isinstance(module, modules.Transpose):
        return None, 1.0
    if module.permutation == HEADS_FIRST_SWAPPED:
        return _rows_of(only_input(node)), 1.0
    key = _unscaled(graph, only_input(node))
    if module.permutation != LAST_AXES_SWAPPED or key is None:
        return None, 1.0
    return _unsplit(graph, key.node), key.factor


def _whole(graph: fx.GraphModule, found: _Heads) -> _Match | None:
    """Looks for what joins the heads behind an attention."""
    inputs = tuple(rows for rows in found.rows if rows is not None)
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
    return _rows_of(only_input(node)) if _swaps_heads(graph, node) else None


def _rows_of(split: fx.Node) -> fx.Node | None:
    """Returns the rows [N, S, H * D] that have become [N, S, H, D]."""
    if split.meta.get("op") != OpKind.RESHAPE:
        return None
    whole = only_input(split)
    shape, parts = whole.meta["shape"], split.meta["shape"]
    return whole if len(shape) == 3 and tuple(shape[:2]) == tuple(parts[:2]) else None


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
