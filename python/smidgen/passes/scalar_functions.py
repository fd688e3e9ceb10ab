"""Which function of one number a node computes."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx, nn

from smidgen import unary_functions as functions
from smidgen.graph.modules import Affine, Pow
from smidgen.passes.operators import Kind, activation_bounds, kind_of, module_of

ScalarFunction = Callable[[float], float]


def scalar_function(  # noqa: PLR0911 - one for each
    graph: fx.GraphModule, node: fx.Node
) -> ScalarFunction:
    """Returns what a node of kind UNARY or CLAMP does to each number, in double precision."""
    module = module_of(graph, node)
    if kind_of(node) is Kind.CLAMP:
        assert module is not None
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
        case Pow():
            exponent = float(module.exponent)
            return lambda x: functions.power(x, exponent)
        case Affine():
            factor, offset = float(module.factor), float(module.offset)
            return lambda x: factor * x + offset
        case _:
            return functions.WITHOUT_PARAMETERS[node.meta["op"]]
