"""Convolutions and linear layers that stay in float."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.passes.fold_batch_norm import Layer
from smidgen.passes.operators import UNBOUNDED, clamp_of, module_of, operands, pair
from smidgen.program.step_fields import both_ends
from smidgen.program_writer.elementwise import plain_clamp
from smidgen.program_writer.writer import ProgramWriter, shape_of


def conv2d(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a convolution, and the clamp that is fused into it."""
    conv = module_of(writer.graph, node)
    assert isinstance(conv, nn.Conv2d)
    weight, bias = _constants(writer, node, conv)
    writer.add(
        steps.FloatConv2d(
            input=writer.read(operands(node)[0], Form.PLAIN),
            output=_unclamped(writer, node),
            weight=weight,
            bias=bias,
            stride=pair(conv.stride),
            padding=both_ends(pair(conv.padding)),
            dilation=pair(conv.dilation),
            groups=conv.groups,
        )
    )
    _clamp(writer, node)


def conv_transpose2d(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a transposed convolution, and the clamp that is fused into it."""
    conv = module_of(writer.graph, node)
    assert isinstance(conv, nn.ConvTranspose2d)
    weight, bias = _constants(writer, node, conv)
    writer.add(
        steps.FloatConvTranspose2d(
            input=writer.read(operands(node)[0], Form.PLAIN),
            output=_unclamped(writer, node),
            weight=weight,
            bias=bias,
            stride=pair(conv.stride),
            padding=both_ends(pair(conv.padding)),
            output_padding=pair(conv.output_padding),
            dilation=pair(conv.dilation),
            groups=conv.groups,
        )
    )
    _clamp(writer, node)


def linear(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a product with a constant matrix, a sum with the bias, and the fused clamp."""
    layer = module_of(writer.graph, node)
    assert isinstance(layer, nn.Linear)
    read = writer.read(operands(node)[0], Form.PLAIN)
    columns = np.ascontiguousarray(layer.weight.detach().numpy().T)
    weight = writer.plain_constant(node, "weight", columns)
    if layer.bias is None:
        writer.add(steps.MatMul(read, weight, _unclamped(writer, node)))
    else:
        bias = writer.plain_constant(node, "bias", _values(layer.bias))
        product = writer.plain(node, "product", shape_of(node))
        writer.add(steps.MatMul(read, weight, product))
        writer.add(steps.Binary(product, bias, _unclamped(writer, node), "add"))
    _clamp(writer, node)


def _unclamped(writer: ProgramWriter, node: fx.Node) -> str:
    """Declares the tensor of a node's value, or of what its clamp reads."""
    if clamp_of(writer.graph, node) == UNBOUNDED:
        return writer.define(node)
    return writer.once(
        f"{node.name} unclamped", lambda: writer.plain(node, "unclamped", shape_of(node))
    )


def _clamp(writer: ProgramWriter, node: fx.Node) -> None:
    bounds = clamp_of(writer.graph, node)
    if bounds != UNBOUNDED:
        source = _unclamped(writer, node)
        writer.add(steps.Unary(source, writer.define(node), *plain_clamp(*bounds)))


def _constants(writer: ProgramWriter, node: fx.Node, layer: Layer) -> tuple[str, str]:
    """Adds weight and bias of a convolution and returns their names."""
    assert not isinstance(layer, nn.Linear)
    zeros = np.zeros(layer.out_channels, np.float32)
    return (
        writer.constant(f"{node.name}.weight", _values(layer.weight)),
        writer.constant(f"{node.name}.bias", zeros if layer.bias is None else _values(layer.bias)),
    )


def _values(parameter: torch.Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = parameter.detach().numpy()
    return values
