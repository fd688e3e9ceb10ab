"""Convolutions of which the file wants the result in floats."""

from __future__ import annotations

import numpy as np

from smidgen import program as steps
from smidgen.formats.onnx_import.quantized.float_windows import write_exact_conv
from smidgen.formats.onnx_import.quantized.writer import Writer
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.program.step_fields import both_ends


def write_conv(writer: Writer, node: ExportedNode) -> None:
    """Writes a convolution: of bytes with exact sums where that can be, else of floats."""
    conv = node.operation
    assert isinstance(conv, ops.Conv2d)
    number = node.inputs[0]
    if conv.groups == 1 and number in writer.plan.exact and conv.weight in writer.constants:
        write_exact_conv(writer, node)
        return
    writer.add(
        steps.FloatConv2d(
            writer.plain(number),
            writer.define_plain(node),
            *_constants(writer, node, conv, node.shape[1] or 1),
            conv.stride,
            both_ends(conv.padding),
            conv.dilation,
            conv.groups,
        )
    )


def write_conv_transpose(writer: Writer, node: ExportedNode) -> None:
    """Writes a transposed convolution of floats."""
    conv = node.operation
    assert isinstance(conv, ops.ConvTranspose2d)
    writer.add(
        steps.FloatConvTranspose2d(
            writer.plain(node.inputs[0]),
            writer.define_plain(node),
            *_constants(writer, node, conv, node.shape[1] or 1),
            conv.stride,
            both_ends(conv.padding),
            conv.output_padding,
            conv.dilation,
            conv.groups,
        )
    )


def _constants(
    writer: Writer, node: ExportedNode, conv: ops.Conv2d | ops.ConvTranspose2d, outputs: int
) -> tuple[str, str]:
    """Adds weight and bias in floats and returns their names."""
    weight = np.asarray(writer.weights[conv.weight], np.float32)
    zeros = np.zeros(outputs, np.float32)
    bias = zeros if conv.bias is None else np.asarray(writer.weights[conv.bias], np.float32)
    return (
        writer.constant(f"{node.label}.weight", np.ascontiguousarray(weight)),
        writer.constant(f"{node.label}.bias", bias),
    )
