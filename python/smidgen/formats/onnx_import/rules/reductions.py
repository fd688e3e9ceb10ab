"""ONNX operators that reduce axes, and softmax."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.formats.onnx_import.call import Call, Result, Rule, extents_as_seen
from smidgen.graph.arguments import Joined, Tensor, UnsupportedCase


def reduction(target: str) -> Rule:
    """Makes the rule of a reduction over axes: an operand, or in old models an attribute."""
    return lambda call: _reduced(call, target, call.value(0))


def sum_of_squares(call: Call) -> Sequence[Result]:
    """ReduceSumSquare."""
    return _reduced(call, "sum.dim_IntList", call.one("square.default", self=call.input(0)))


def _reduced(call: Call, target: str, value: Tensor | Joined) -> Sequence[Result]:
    axes = call.axes(1)
    if not axes:
        if call.integer("noop_with_empty_axes", 0):
            return [value]
        axes = tuple(range(len(extents_as_seen(value).items)))
    keeps = call.integer("keepdims", 1) != 0
    return call.aten(target, self=value, dim=axes, keepdim=keeps)


def running_sum(call: Call) -> Sequence[Result]:
    """CumSum from the first element on, which counts."""
    if call.integer("exclusive", 0) or call.integer("reverse", 0):
        raise UnsupportedCase("a running sum without the element itself, or from the end")
    return call.aten("cumsum.default", self=call.input(0), dim=call.one_integer_in(1))


def argmax(call: Call) -> Sequence[Result]:
    """ArgMax, the first of several."""
    if call.integer("select_last_index", 0):
        raise UnsupportedCase("the last of several greatest elements")
    return call.aten(
        "argmax.default",
        self=call.input(0),
        dim=call.integer("axis", 0),
        keepdim=call.integer("keepdims", 1) != 0,
    )


def softmax(target: str) -> Rule:
    """Makes the rule of Softmax or LogSoftmax."""
    return lambda call: call.aten(target, self=call.value(0), dim=call.integer("axis", -1))
