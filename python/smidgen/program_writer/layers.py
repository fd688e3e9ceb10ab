"""Convolutions and linear layers on quantized values."""

from __future__ import annotations

import numpy as np
import torch
from torch import fx, nn

from smidgen import program as steps
from smidgen.config.precision import WeightBits
from smidgen.forms import Form
from smidgen.layer_quantization import quantize_layer
from smidgen.passes.fold_batch_norm import Layer, by_output, like_layer
from smidgen.passes.operators import module_of, operands, pair
from smidgen.program.step_fields import both_ends
from smidgen.program_writer.writer import ProgramWriter
from smidgen.qparams import INT4_QMAX, WEIGHT_QMAX, check_weights
from smidgen.weight_grid import weight_grid


def conv2d(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a convolution with its fused clamp."""
    conv = module_of(writer.graph, node)
    assert isinstance(conv, nn.Conv2d)
    weight, weight_scale, bias = _constants(writer, node, conv)
    qmin, qmax = writer.clamp(node)
    writer.add(
        steps.Conv2d(
            input=writer.read(operands(node)[0], Form.QUANTIZED),
            output=writer.define(node),
            weight=weight,
            weight_scale=weight_scale,
            bias=bias,
            stride=pair(conv.stride),
            padding=both_ends(pair(conv.padding)),
            dilation=pair(conv.dilation),
            groups=conv.groups,
            qmin=qmin,
            qmax=qmax,
        )
    )


def conv_transpose2d(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a transposed convolution with its fused clamp."""
    conv = module_of(writer.graph, node)
    assert isinstance(conv, nn.ConvTranspose2d)
    weight, weight_scale, bias = _constants(writer, node, conv)
    qmin, qmax = writer.clamp(node)
    writer.add(
        steps.ConvTranspose2d(
            input=writer.read(operands(node)[0], Form.QUANTIZED),
            output=writer.define(node),
            weight=weight,
            weight_scale=weight_scale,
            bias=bias,
            stride=pair(conv.stride),
            padding=both_ends(pair(conv.padding)),
            output_padding=pair(conv.output_padding),
            dilation=pair(conv.dilation),
            groups=conv.groups,
            qmin=qmin,
            qmax=qmax,
        )
    )


def dynamic_linear(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a linear layer that quantizes each row of its input by the row's own range."""
    layer = module_of(writer.graph, node)
    assert isinstance(layer, nn.Linear)
    weight = layer.weight.detach().numpy()
    precision = writer.precisions[node.name]
    is_int4 = precision.weights is WeightBits.INT4
    check_weights(weight, largest=INT4_QMAX if is_int4 else WEIGHT_QMAX)
    grid = weight_grid(weight, None, None, precision)
    bias = np.zeros(len(weight), np.float32) if layer.bias is None else layer.bias.detach().numpy()
    writer.add(
        steps.DynamicLinear(
            input=writer.read(operands(node)[0], Form.PLAIN),
            output=writer.define(node),
            weight=writer.weight(node, grid.quantize(weight)),
            weight_scale=writer.constant(f"{node.name}.weight_scale", grid.scale),
            bias=writer.constant(f"{node.name}.bias", bias),
        )
    )


def linear(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a linear layer with its fused clamp, or one that gives floats."""
    layer = module_of(writer.graph, node)
    assert isinstance(layer, nn.Linear)
    weight, weight_scale, bias = _constants(writer, node, layer)
    gives_floats = writer.form(node) is Form.PLAIN
    qmin, qmax = (0, 255) if gives_floats else writer.clamp(node)
    writer.add(
        steps.Linear(
            input=writer.read(operands(node)[0], Form.QUANTIZED),
            output=writer.define(node),
            weight=weight,
            weight_scale=weight_scale,
            bias=bias,
            qmin=qmin,
            qmax=qmax,
        )
    )


def _constants(writer: ProgramWriter, node: fx.Node, layer: Layer) -> tuple[str, str, str]:
    """Adds weight, weight scales and bias of a layer and returns their names."""
    source = writer.qparams[operands(node)[0].name]
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    weight = by_output(layer).detach().numpy()
    precision = writer.precisions[node.name]
    quantized = quantize_layer(weight, bias, source, precision, node=node.name)
    ordered = like_layer(layer, torch.from_numpy(quantized.weight)).numpy()
    return (
        writer.weight(node, ordered),
        writer.constant(f"{node.name}.weight_scale", quantized.weight_scale),
        writer.constant(f"{node.name}.bias", quantized.bias),
    )
