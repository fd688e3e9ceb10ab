"""Steps that give images another size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import ConvTranspose2d, Resize

# How the steps' modes place pixels, in the words of ONNX.
MODES: Mapping[str, Mapping[str, Any]] = {
    "nearest": {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    "nearest_exact": {
        "mode": "nearest",
        "coordinate_transformation_mode": "half_pixel",
        "nearest_mode": "round_prefer_ceil",
    },
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}
CORNERS: Mapping[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}


def _conv_transpose2d(graph: QdqGraph, step: ConvTranspose2d) -> None:
    graph.write(
        "ConvTranspose",
        [graph.real(step.input), _weight(graph, step), graph.layer_bias(step)],
        step.output,
        clamp=(step.qmin, step.qmax),
        kernel_shape=graph.program.constants[step.weight].shape[2:],
        strides=step.stride,
        pads=step.padding,
        output_padding=step.output_padding,
        dilations=step.dilation,
        group=step.groups,
    )


def _weight(graph: QdqGraph, step: ConvTranspose2d) -> str:
    """Returns the real weight [C, O / groups, KH, KW].

    Where there are several groups, the scales belong to no axis of it: the rows of every input
    channel are dequantized one below the other, and then take their shape.
    """
    values = np.asarray(graph.program.constants[step.weight])
    scales = np.asarray(graph.program.constants[step.weight_scale], np.float32)
    if step.groups == 1:
        return graph.dequantized_constant(step.weight, values, scales, 1)
    channels, per_group = values.shape[:2]
    spread = np.repeat(scales.reshape(step.groups, -1), channels // step.groups, axis=0)
    rows = values.reshape(channels * per_group, -1)
    flat = graph.dequantized_constant(step.weight, rows, spread.reshape(-1), 0)
    shape = graph.constant(f"{step.weight}/shape", np.array(values.shape, np.int64))
    return graph.node("Reshape", [flat, shape])


def _resize(graph: QdqGraph, step: Resize) -> None:
    extents = graph.program.tensor(step.input).shape[2:]
    scales = [
        resize_scale(extent, size, ratio)
        for extent, size, ratio in zip(extents, step.size, step.ratio, strict=True)
    ]
    factors = graph.constant(f"{step.output}/scales", np.array([1.0, 1.0, *scales], np.float32))
    attributes = CORNERS if step.align_corners else MODES[step.mode]
    graph.write("Resize", [graph.real(step.input), "", factors], step.output, **attributes)


def resize_scale(extent: int | None, size: int, ratio: float) -> np.float32:
    """Returns the float32 next to 1 / ratio, or size / extent, that makes `size` of `extent`.

    Some compute the product in float32 and some exactly, before they round it down.
    """
    if extent is None:
        return np.float32(1.0 / ratio)
    scale = np.float32(size / extent if ratio == 0 else 1.0 / ratio)
    if math.floor(extent * float(scale)) != size:
        scale = np.float32(size / extent)
    if math.floor(extent * float(scale)) < size:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale


RULES: Mapping[type[Any], Rule] = {ConvTranspose2d: _conv_transpose2d, Resize: _resize}
