"""Functions of one value and of pairs of values, quantized or plain."""

from __future__ import annotations

import math

import numpy as np
from torch import fx, nn

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.graph import modules
from smidgen.graph.operations import OpKind
from smidgen.lookup_tables import function_table
from smidgen.passes.operators import (
    UNBOUNDED,
    Kind,
    activation_bounds,
    clamp_of,
    kind_of_op,
    module_of,
    operands,
)
from smidgen.passes.scalar_functions import scalar_function
from smidgen.program_writer.writer import ProgramWriter, shape_of

_BINARY = {
    OpKind.ADD: "add",
    OpKind.SUB: "sub",
    OpKind.MULTIPLY: "mul",
    OpKind.DIV: "div",
    OpKind.MINIMUM: "minimum",
    OpKind.MAXIMUM: "maximum",
    OpKind.AND: "and",
    OpKind.OR: "or",
}
"""The function of the plain step, by kind of operation."""

_LARGEST = float(np.finfo(np.float32).max)


def unary(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a function of one value: a table of the quantized ones, or a plain step."""
    (source,) = operands(node)
    module = module_of(writer.graph, node)
    if writer.form(node) is Form.PLAIN and isinstance(module, modules.Affine):
        _plain_affine(writer, node, module)
        return
    if writer.form(node) is Form.PLAIN:
        function, parameters = _plain_function(writer.graph, node)
        read = writer.read(source, Form.PLAIN)
        writer.add(steps.Unary(read, writer.define(node), function, parameters))
        return
    function_of_number = scalar_function(writer.graph, node)
    table = function_table(
        function_of_number, writer.qparams[source.name], writer.qparams[node.name]
    )
    name = writer.constant(f"{node.name}.table", table)
    read = writer.read(source, Form.QUANTIZED)
    writer.add(steps.Lookup(read, writer.define(node), name))


def add(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a sum."""
    if writer.form(node) is Form.PLAIN:
        plain_binary(writer, node)
        return
    lhs, rhs = (writer.read(operand, Form.QUANTIZED) for operand in operands(node))
    qmin, qmax = writer.clamp(node)
    writer.add(steps.Add(lhs, rhs, writer.define(node), qmin, qmax))


def multiply(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a product."""
    if writer.form(node) is Form.PLAIN:
        plain_binary(writer, node)
        return
    lhs, rhs = (writer.read(operand, Form.QUANTIZED) for operand in operands(node))
    qmin, qmax = writer.clamp(node)
    writer.add(steps.Multiply(lhs, rhs, writer.define(node), qmin, qmax))


def plain_binary(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a function of two plain values, and a clamp that is fused into it."""
    lhs, rhs = (writer.read(operand, Form.PLAIN) for operand in operands(node))
    function, bounds = _BINARY[node.meta["op"]], clamp_of(writer.graph, node)
    if bounds == UNBOUNDED:
        writer.add(steps.Binary(lhs, rhs, writer.define(node), function))
        return
    between = writer.plain(node, "unclamped", shape_of(node))
    writer.add(steps.Binary(lhs, rhs, between, function))
    writer.add(steps.Unary(between, writer.define(node), *plain_clamp(*bounds)))


def _plain_affine(writer: ProgramWriter, node: fx.Node, module: modules.Affine) -> None:
    """Writes a product and a sum with a number, whichever of them does something."""
    if module.factor == -1.0:
        offset = writer.plain_constant(node, "offset", np.array([module.offset], np.float32))
        read = writer.read(operands(node)[0], Form.PLAIN)
        writer.add(steps.Binary(offset, read, writer.define(node), "sub"))
        return
    parts = [("mul", "factor", module.factor), ("add", "offset", module.offset)]
    needed = [part for part in parts if part[2] != (1.0 if part[0] == "mul" else 0.0)] or parts[1:]
    source = writer.read(operands(node)[0], Form.PLAIN)
    for function, role, number in needed:
        constant = writer.plain_constant(node, role, np.array([number], np.float32))
        is_last = role == needed[-1][1]
        output = writer.define(node) if is_last else writer.plain(node, "scaled", shape_of(node))
        writer.add(steps.Binary(source, constant, output, function))
        source = output


def prelu(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes relu(x) + slope * min(x, 0), with a slope for each channel."""
    module = module_of(writer.graph, node)
    assert isinstance(module, nn.PReLU)
    shape = shape_of(node)
    slopes = module.weight.detach().numpy()
    spread = slopes if len(slopes) == 1 else slopes.reshape(-1, *(1,) * (len(shape) - 2))
    slope = writer.plain_constant(node, "slope", np.array(spread))
    zero = writer.plain_constant(node, "zero", np.zeros(1, np.float32))
    positive, negative, scaled = (
        writer.plain(node, role, shape) for role in ("positive", "negative", "scaled")
    )
    source = writer.read(operands(node)[0], Form.PLAIN)
    writer.add(steps.Unary(source, positive, "relu"))
    writer.add(steps.Binary(source, zero, negative, "minimum"))
    writer.add(steps.Binary(negative, slope, scaled, "mul"))
    writer.add(steps.Binary(positive, scaled, writer.define(node), "add"))


def compare(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a comparison."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.Compare)
    lhs, rhs = (writer.read(operand, Form.PLAIN) for operand in operands(node))
    writer.add(steps.Compare(lhs, rhs, writer.define(node), module.function))


def where(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a choice between two values."""
    condition, lhs, rhs = (writer.read(operand, Form.PLAIN) for operand in operands(node))
    writer.add(steps.Where(condition, lhs, rhs, writer.define(node)))


def cast(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a change of type."""
    writer.add(steps.Cast(writer.read(operands(node)[0], Form.PLAIN), writer.define(node)))


def _plain_function(graph: fx.GraphModule, node: fx.Node) -> tuple[str, tuple[float, ...]]:
    """Returns the function and parameters of Unary."""
    module = module_of(graph, node)
    if kind_of_op(node.meta["op"]) is Kind.CLAMP:
        assert module is not None
        return plain_clamp(*activation_bounds(module))
    match module:
        case nn.GELU():
            return ("gelu_tanh" if module.approximate == "tanh" else "gelu"), ()
        case nn.LeakyReLU():
            return "leaky_relu", (_float32(module.negative_slope),)
        case nn.ELU():
            return "elu", (_float32(module.alpha),)
        case modules.Pow():
            return "pow", (_float32(module.exponent),)
        case _:
            return str(node.meta["op"]), ()


def plain_clamp(low: float, high: float) -> tuple[str, tuple[float, ...]]:
    """Returns the function and parameters of Unary that bound a value."""
    if (low, high) == (0.0, math.inf):
        return "relu", ()
    return "clamp", (_float32(max(low, -_LARGEST)), _float32(min(high, _LARGEST)))


def _float32(value: float) -> float:
    return float(np.float32(value))
