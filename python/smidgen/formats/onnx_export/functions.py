"""Functions of one number in ONNX, and which of them a table holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from smidgen import unary_functions
from smidgen.formats.onnx_export.onnx_graph import OnnxGraph
from smidgen.functional import U8
from smidgen.lookup_tables import function_table
from smidgen.program import Program
from smidgen.qparams import QParams

# (graph, real value, parameters) to the name of the result.
Export = Callable[..., str]


def _one_node(operator: str, **attributes: float) -> Export:
    return lambda graph, x: graph.node(operator, [x], **attributes)


def _identity(graph: OnnxGraph, x: str) -> str:
    return x


def _silu(graph: OnnxGraph, x: str) -> str:
    return graph.node("Mul", [x, graph.node("Sigmoid", [x])])


def _mish(graph: OnnxGraph, x: str) -> str:
    return graph.node("Mul", [x, graph.node("Tanh", [graph.node("Softplus", [x])])])


def _rsqrt(graph: OnnxGraph, x: str) -> str:
    return graph.node("Reciprocal", [graph.node("Sqrt", [x])])


def _gelu(graph: OnnxGraph, x: str) -> str:
    """0.5 x (1 + erf(x / sqrt 2)), in the nodes that runtimes recognize as GELU."""
    error = graph.node("Erf", [graph.node("Div", [x, graph.number(math.sqrt(2.0))])])
    product = graph.node("Mul", [x, graph.node("Add", [error, graph.number(1.0)])])
    return graph.node("Mul", [product, graph.number(0.5)])


def _gelu_tanh(graph: OnnxGraph, x: str) -> str:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    cubed = graph.node("Pow", [x, graph.number(3.0)])
    small = graph.node("Mul", [cubed, graph.number(0.044715)])
    inner = graph.node("Add", [x, small])
    scaled = graph.node("Mul", [inner, graph.number(math.sqrt(2.0 / math.pi))])
    grown = graph.node("Add", [graph.node("Tanh", [scaled]), graph.number(1.0)])
    return graph.node("Mul", [x, graph.node("Mul", [grown, graph.number(0.5)])])


def _leaky_relu(graph: OnnxGraph, x: str, slope: float) -> str:
    return graph.node("LeakyRelu", [x], alpha=slope)


def _elu(graph: OnnxGraph, x: str, alpha: float) -> str:
    return graph.node("Elu", [x], alpha=alpha)


def _clamp(graph: OnnxGraph, x: str, low: float, high: float) -> str:
    return graph.node("Clip", [x, graph.number(low), graph.number(high)])


def _pow(graph: OnnxGraph, x: str, exponent: float) -> str:
    return graph.node("Pow", [x, graph.number(exponent)])


# By the name that the step Unary gives a function.
EXPORTS: Mapping[str, Export] = {
    "abs": _one_node("Abs"),
    "clamp": _clamp,
    "cos": _one_node("Cos"),
    "elu": _elu,
    "erf": _one_node("Erf"),
    "exp": _one_node("Exp"),
    "floor": _one_node("Floor"),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hardsigmoid": _one_node("HardSigmoid", alpha=1.0 / 6.0, beta=0.5),
    "hardswish": _one_node("HardSwish"),
    "leaky_relu": _leaky_relu,
    "log": _one_node("Log"),
    "mish": _mish,
    "neg": _one_node("Neg"),
    "not": _one_node("Not"),
    "pow": _pow,
    "reciprocal": _one_node("Reciprocal"),
    "relu": _one_node("Relu"),
    "round": _one_node("Round"),
    "rsqrt": _rsqrt,
    "sigmoid": _one_node("Sigmoid"),
    "silu": _silu,
    "sin": _one_node("Sin"),
    "softplus": _one_node("Softplus"),
    "sqrt": _one_node("Sqrt"),
    "tanh": _one_node("Tanh"),
}

# The functions without parameters that convert makes tables of.
_TABLE_FUNCTIONS: Mapping[Callable[[float], float], Export] = {
    (lambda x: x): _identity,
    unary_functions.hardswish: EXPORTS["hardswish"],
    unary_functions.hardsigmoid: EXPORTS["hardsigmoid"],
    unary_functions.sigmoid: EXPORTS["sigmoid"],
    unary_functions.tanh: EXPORTS["tanh"],
    unary_functions.silu: EXPORTS["silu"],
    unary_functions.gelu: EXPORTS["gelu"],
    unary_functions.gelu_tanh: EXPORTS["gelu_tanh"],
}


def find_function(program: Program, source: str, target: str, table: U8) -> Export | None:
    """Returns the function whose table this is, to the bit, or None for any other table."""
    ends = _qparams(program, source), _qparams(program, target)
    for function, export in _TABLE_FUNCTIONS.items():
        if np.array_equal(function_table(function, *ends), table):
            return export
    return None


def _qparams(program: Program, name: str) -> QParams:
    tensor = program.tensor(name)
    assert tensor.scale is not None, "verify lets no table read or write a float tensor"
    return QParams(scale=tensor.scale, zero_point=tensor.zero_point)
