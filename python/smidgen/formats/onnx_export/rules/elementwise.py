"""Steps on float32, int64 and bool tensors that work value by value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnx import helper

from smidgen.formats.onnx_export.functions import EXPORTS
from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import Binary, Cast, Compare, Unary, Where

BINARY = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "minimum": "Min",
    "maximum": "Max",
    "pow": "Pow",
    "and": "And",
    "or": "Or",
}
COMPARISONS = {
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}


def _unary(graph: QdqGraph, step: Unary) -> None:
    result = EXPORTS[step.function](graph, step.input, *step.parameters)
    graph.name(result, step.output)


def _binary(graph: QdqGraph, step: Binary) -> None:
    graph.node(BINARY[step.function], [step.lhs, step.rhs], step.output)


def _compare(graph: QdqGraph, step: Compare) -> None:
    if step.function == "ne":
        equal = graph.node("Equal", [step.lhs, step.rhs])
        graph.node("Not", [equal], step.output)
    else:
        graph.node(COMPARISONS[step.function], [step.lhs, step.rhs], step.output)


def _where(graph: QdqGraph, step: Where) -> None:
    graph.node("Where", [step.condition, step.lhs, step.rhs], step.output)


def _cast(graph: QdqGraph, step: Cast) -> None:
    kind = graph.program.tensor(step.output).dtype.numpy
    graph.node("Cast", [step.input], step.output, to=helper.np_dtype_to_tensor_dtype(kind))


RULES: Mapping[type[Any], Rule] = {
    Unary: _unary,
    Binary: _binary,
    Compare: _compare,
    Where: _where,
    Cast: _cast,
}
