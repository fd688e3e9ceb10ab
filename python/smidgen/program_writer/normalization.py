"""Normalization of plain values."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import fx, nn

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.graph.modules import LastAxisBatchNorm
from smidgen.passes.fold_batch_norm import statistics_factor
from smidgen.passes.operators import module_of, operands
from smidgen.program.step_fields import requested_shape
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
    shape = shape_of(node)
    source = writer.read(operands(node)[0], Form.PLAIN)
    scaled = writer.plain(node, "scaled", shape)
    axis = -1 if isinstance(module, LastAxisBatchNorm) else 1
    scale = _by_channel(writer, node, "factor", factor, axis)
    shift = _by_channel(writer, node, "offset", offset, axis)
    writer.add(steps.Binary(source, scale, scaled, "mul"))
    writer.add(steps.Binary(scaled, shift, writer.define(node), "add"))


def _by_channel(
    writer: ProgramWriter, node: fx.Node, role: str, values: torch.Tensor, axis: int = 1
) -> str:
    """Adds one number for each channel, axis 1 or the last one, as a tensor that broadcasts."""
    spread = (-1, *(1,) * (len(shape_of(node)) - 2 if axis == 1 else 0))
    return writer.plain_constant(node, role, np.array(values.detach().numpy().reshape(spread)))


def group_norm(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a group norm: a layer norm of each group as one row, and a line for each channel."""
    module = module_of(writer.graph, node)
    assert isinstance(module, nn.GroupNorm)
    shape = shape_of(node)
    features = math.prod(extent or 1 for extent in shape[1:]) // module.num_groups
    rows = writer.plain(node, "rows", (shape[0], module.num_groups, features))
    normal = writer.plain(node, "normal_rows", (shape[0], module.num_groups, features))
    source = writer.read(operands(node)[0], Form.PLAIN)
    writer.add(steps.Reshape(source, rows, (0, module.num_groups, features)))
    writer.add(steps.LayerNorm(rows, normal, float(np.float32(module.eps))))
    if module.weight is None:
        writer.add(steps.Reshape(normal, writer.define(node), requested_shape(shape)))
        return
    reshaped, scaled = writer.plain(node, "normal", shape), writer.plain(node, "scaled", shape)
    writer.add(steps.Reshape(normal, reshaped, requested_shape(shape)))
    factor = _by_channel(writer, node, "factor", module.weight)
    offset = _by_channel(writer, node, "offset", module.bias)
    writer.add(steps.Binary(reshaped, factor, scaled, "mul"))
    writer.add(steps.Binary(scaled, offset, writer.define(node), "add"))


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
