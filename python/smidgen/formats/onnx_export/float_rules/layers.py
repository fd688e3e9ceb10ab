"""Layers with weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write
from smidgen.graph.operations import Conv2d, ConvTranspose2d, Embedding, Linear, MatMul


def _conv2d(write: Write) -> None:
    layer: Conv2d = write.operation
    write.node("Conv", [*write.names, *_weight_and_bias(write)], **_geometry(write, layer))


def _conv_transpose2d(write: Write) -> None:
    layer: ConvTranspose2d = write.operation
    write.node(
        "ConvTranspose",
        [*write.names, *_weight_and_bias(write)],
        output_padding=layer.output_padding,
        **_geometry(write, layer),
    )


def _geometry(write: Write, layer: Conv2d | ConvTranspose2d) -> dict[str, Any]:
    return {
        "kernel_shape": write.graph.array(layer.weight).shape[2:],
        "strides": layer.stride,
        "pads": (*layer.padding, *layer.padding),
        "dilations": layer.dilation,
        "group": layer.groups,
    }


def _weight_and_bias(write: Write) -> list[str]:
    names = (write.operation.weight, write.operation.bias)
    return [write.graph.weight(name) for name in names if name is not None]


def _linear(write: Write) -> None:
    """Gemm for [N, I]; MatMul for tensors of other ranks, which Gemm does not take."""
    layer: Linear = write.operation
    if len(write.inputs[0].shape) == 2:
        inputs = [*write.names, *_weight_and_bias(write)]
        write.node("Gemm", inputs, transB=int(not layer.is_transposed))
        return
    graph = write.graph
    weight = graph.weight(layer.weight)
    if not layer.is_transposed:
        turned = np.ascontiguousarray(graph.array(layer.weight).T)
        weight = graph.constant(f"{layer.weight}/transposed", turned)
    if layer.bias is None:
        write.node("MatMul", [*write.names, weight])
    else:
        product = graph.node("MatMul", [*write.names, weight])
        write.node("Add", [product, graph.weight(layer.bias)])


def _embedding(write: Write) -> None:
    write.node("Gather", [write.graph.weight(write.operation.weight), *write.names], axis=0)


def _mat_mul(write: Write) -> None:
    write.node("MatMul", write.names)


RULES: Mapping[type[Any], FloatRule] = {
    Conv2d: _conv2d,
    ConvTranspose2d: _conv_transpose2d,
    Linear: _linear,
    Embedding: _embedding,
    MatMul: _mat_mul,
}
