"""Which function of one number a node computes."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx, nn

from smidgen import unary_functions as functions
from smidgen.graph.operations import OpKind
from smidgen.passes.operators import Kind, activation_bounds, kind_of, module_of

ScalarFunction = Callable[[float], float]

_WITHOUT_PARAMETERS: dict[OpKind, ScalarFunction] = {
    OpKind.SIGMOID: functions.sigmoid,
    OpKind.HARDSIGMOID: functions.hardsigmoid,
    OpKind.HARDSWISH: functions.hardswish,
    OpKind.SILU: functions.silu,
    OpKind.TANH: functions.tanh,
}


def scalar_function(graph: fx.GraphModule, node: fx.Node) -> ScalarFunction:
    """Returns what a node of kind UNARY or CLAMP does to each number, in double precision."""
    module = module_of(graph, node)
    assert module is not None
    if kind_of(node) is Kind.CLAMP:
        low, high = activation_bounds(module)
        return lambda x: functions.clamp(x, low, high)
    match module:
        case nn.GELU():
            return functions.gelu_tanh if module.approximate == "tanh" else functions.gelu
        case nn.LeakyReLU():
            slope = float(module.negative_slope)
            return lambda x: functions.leaky_relu(x, slope)
        case nn.ELU():
            alpha = float(module.alpha)
            return lambda x: functions.elu(x, alpha)
        case _:
            return _WITHOUT_PARAMETERS[node.meta["op"]]
