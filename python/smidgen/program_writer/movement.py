"""What moves values and changes none, quantized or plain."""

from __future__ import annotations

import numpy as np
from torch import fx

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.graph import modules
from smidgen.passes.operators import concat_axis, module_of, operands
from smidgen.program.step_fields import requested_shape
from smidgen.program_writer.writer import ProgramWriter, shape_of


def reshape(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a reshape."""
    source = writer.read(operands(node)[0], writer.form(node))
    writer.add(steps.Reshape(source, writer.define(node), requested_shape(shape_of(node))))


def concat(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a concatenation; quantized parts are given its scale."""
    if writer.form(node) is Form.QUANTIZED:
        parts = tuple(writer.requantized(part, node) for part in operands(node))
    else:
        parts = tuple(writer.read(part, Form.PLAIN) for part in operands(node))
    writer.add(steps.Concat(parts, writer.define(node), concat_axis(node)))


def transpose(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a permutation of axes."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.Transpose)
    source = writer.read(operands(node)[0], writer.form(node))
    writer.add(steps.Transpose(source, writer.define(node), module.permutation))


def slice_axis(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a slice along one axis."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.Slice)
    source = writer.read(operands(node)[0], writer.form(node))
    places = (module.axis, module.start, module.stop, module.step)
    writer.add(steps.Slice(source, writer.define(node), *places))


def expand(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a broadcast."""
    source = writer.read(operands(node)[0], writer.form(node))
    writer.add(steps.Expand(source, writer.define(node), requested_shape(shape_of(node))))


def pad(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a padding."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.Pad)
    source = writer.read(operands(node)[0], writer.form(node))
    value = float(np.float32(module.value))
    writer.add(steps.Pad(source, writer.define(node), module.pads, value))
