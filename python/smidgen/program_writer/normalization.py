"""Normalization of plain values."""

from __future__ import annotations

import numpy as np
import torch
from torch import fx, nn

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.passes.fold_batch_norm import statistics_factor
from smidgen.passes.operators import module_of, operands
from smidgen.program_writer.writer import ProgramWriter, shape_of


def batch_norm(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a batch norm that nothing could fold: a product and a sum for each channel."""
    module = module_of(writer.graph, node)
    assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    with torch.no_grad():
        factor = statistics_factor(module)
        assert module.running_mean is not None
        offset = -module.running_mean * factor
        if module.bias is not None:
            offset = offset + module.bias
    spread = (-1, *(1,) * (len(shape_of(node)) - 2))
    scale, shift = (
        writer.plain_constant(node, role, np.array(values.numpy().reshape(spread)))
        for role, values in (("factor", factor), ("offset", offset))
    )
    scaled = writer.plain(node, "scaled", shape_of(node))
    source = writer.read(operands(node)[0], Form.PLAIN)
    writer.add(steps.Binary(source, scale, scaled, "mul"))
    writer.add(steps.Binary(scaled, shift, writer.define(node), "add"))


def layer_norm(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a layer normalization over the last axis."""
    module = module_of(writer.graph, node)
    assert isinstance(module, nn.LayerNorm)
    weight, bias = (
        None if values is None else writer.constant(f"{node.name}.{role}", values.detach().numpy())
        for role, values in (("weight", module.weight), ("bias", module.bias))
    )
    source = writer.read(operands(node)[0], Form.PLAIN)
    epsilon = float(np.float32(module.eps))
    writer.add(steps.LayerNorm(source, writer.define(node), epsilon, weight, bias))
