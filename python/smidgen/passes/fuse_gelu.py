"""Finds GELU in the operators that ONNX files write it as."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import fx, nn

from smidgen.graph.operations import OpKind
from smidgen.passes.operators import operands
from smidgen.passes.rewriter import Rewriter, only_input

_TOLERANCE = 1e-6  # files have their numbers in float32
_DTYPE = "float32"


def fuse_gelu(source: fx.GraphModule) -> fx.GraphModule:
    """Returns the graph with one function in place of 0.5 x (1 + erf(x / sqrt 2)).

    The three factors may be multiplied in any order. Equal to the source up to rounding.
    """
    rewriter = Rewriter(source)
    for node in source.graph.nodes:
        value = _operand(source, node)
        if value is None:
            rewriter.copy(node)
        else:
            rewriter.call(node, nn.GELU(), (value,), like=node, op=OpKind.GELU)
    return rewriter.finish()


def _operand(source: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """Returns x if a node is GELU of x."""
    if not _is(node, OpKind.MULTIPLY) or node.meta.get("dtype", _DTYPE) != _DTYPE:
        return None
    for factors in _three_factors(node):
        numbers = [_number(source, factor) for factor in factors]
        others = [factor for factor, number in zip(factors, numbers, strict=True) if number is None]
        given = [number for number in numbers if number is not None]
        if len(others) != 2 or not math.isclose(given[0], 0.5, rel_tol=_TOLERANCE):
            continue
        for value, gate in (others, others[::-1]):
            if _is_gate(source, gate, value) and value.meta["shape"] == node.meta["shape"]:
                return value
    return None


def _three_factors(node: fx.Node) -> Iterator[tuple[fx.Node, fx.Node, fx.Node]]:
    first, second = operands(node)
    for whole, part in ((first, second), (second, first)):
        if _is(part, OpKind.MULTIPLY):
            inner = operands(part)
            yield whole, inner[0], inner[1]


def _is_gate(source: fx.GraphModule, gate: fx.Node, value: fx.Node) -> bool:
    """Tells whether a node is 1 + erf(value / sqrt 2)."""
    error = _beside(source, gate, OpKind.ADD, 1.0)
    if error is None or not _is(error, OpKind.ERF):
        return False
    inner = only_input(error)
    quotient = _beside(source, inner, OpKind.DIV, math.sqrt(2.0))
    product = _beside(source, inner, OpKind.MULTIPLY, math.sqrt(0.5))
    return value in (quotient, product)


def _beside(source: fx.GraphModule, node: fx.Node, kind: OpKind, number: float) -> fx.Node | None:
    """Returns the operand beside a number; of a quotient the number is the divisor."""
    if not _is(node, kind):
        return None
    orders = [operands(node), operands(node)[::-1]]
    for value, other in orders[:1] if kind is OpKind.DIV else orders:
        found = _number(source, other)
        if found is not None and math.isclose(found, number, rel_tol=_TOLERANCE):
            return value
    return None


def _is(node: fx.Node, kind: OpKind) -> bool:
    return node.op != "placeholder" and node.meta.get("op") == kind


def _number(source: fx.GraphModule, node: fx.Node) -> float | None:
    """Returns the one number that a constant holds."""
    if node.op != "get_attr":
        return None
    value = getattr(source, str(node.target))
    return float(value.detach()) if value.numel() == 1 else None
