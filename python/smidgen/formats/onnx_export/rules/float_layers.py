"""Convolutions on float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import FloatConv2d, FloatConvTranspose2d


def _conv2d(graph: QdqGraph, step: FloatConv2d) -> None:
    graph.node("Conv", _inputs(graph, step), step.output, **_window(graph, step))


def _conv_transpose2d(graph: QdqGraph, step: FloatConvTranspose2d) -> None:
    graph.node(
        "ConvTranspose",
        _inputs(graph, step),
        step.output,
        output_padding=step.output_padding,
        **_window(graph, step),
    )


def _inputs(graph: QdqGraph, step: FloatConv2d | FloatConvTranspose2d) -> list[str]:
    constants = graph.program.constants
    names = (step.weight, step.bias)
    return [step.input, *(graph.constant(name, np.asarray(constants[name])) for name in names)]


def _window(graph: QdqGraph, step: FloatConv2d | FloatConvTranspose2d) -> dict[str, Any]:
    return {
        "kernel_shape": graph.program.constants[step.weight].shape[2:],
        "strides": step.stride,
        "pads": step.padding,
        "dilations": step.dilation,
        "group": step.groups,
    }


RULES: Mapping[type[Any], Rule] = {
    FloatConv2d: _conv2d,
    FloatConvTranspose2d: _conv_transpose2d,
}
