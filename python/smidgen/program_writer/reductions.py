"""Plain values that depend on many: reductions, softmax and matrix products."""

from __future__ import annotations

from torch import fx, nn

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.graph import modules
from smidgen.passes.operators import module_of, operands
from smidgen.program_writer.writer import ProgramWriter


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
