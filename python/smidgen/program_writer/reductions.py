"""Plain values that depend on many: reductions, softmax and matrix products."""

from __future__ import annotations

from torch import fx, nn

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.graph import modules
from smidgen.passes.operators import module_of, operands
from smidgen.program_writer.writer import ProgramWriter, shape_of


def reduce(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a reduction over some axes."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.Reduce)
    source = writer.read(operands(node)[0], Form.PLAIN)
    fields = (module.function, module.axes, module.keep_dims)
    writer.add(steps.Reduce(source, writer.define(node), *fields))


def softmax(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a softmax."""
    module = module_of(writer.graph, node)
    assert isinstance(module, nn.Softmax)
    assert module.dim is not None
    source = writer.read(operands(node)[0], Form.PLAIN)
    writer.add(steps.Softmax(source, writer.define(node), module.dim))


def matmul(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a product of two matrices that are both computed, or one a constant."""
    lhs, rhs = (writer.read(operand, Form.PLAIN) for operand in operands(node))
    writer.add(steps.MatMul(lhs, rhs, writer.define(node)))


def log_softmax(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes x - max - log(sum(exp(x - max))), which keeps what a softmax rounds to 0."""
    module = module_of(writer.graph, node)
    assert isinstance(module, nn.LogSoftmax)
    assert module.dim is not None
    axis, shape = module.dim, shape_of(node)
    row = (*shape[:axis], 1, *shape[axis + 1 :])
    largest, total, shift = (writer.plain(node, role, row) for role in ("max", "sum", "log"))
    centred, powers = (writer.plain(node, role, shape) for role in ("centred", "exp"))
    source = writer.read(operands(node)[0], Form.PLAIN)
    writer.add(steps.Reduce(source, largest, "maximum", (axis,), keep_dims=True))
    writer.add(steps.Binary(source, largest, centred, "sub"))
    writer.add(steps.Unary(centred, powers, "exp"))
    writer.add(steps.Reduce(powers, total, "sum", (axis,), keep_dims=True))
    writer.add(steps.Unary(total, shift, "log"))
    writer.add(steps.Binary(centred, shift, writer.define(node), "sub"))
