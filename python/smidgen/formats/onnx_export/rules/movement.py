"""Steps that move values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import (
    Concat,
    ConstantTensor,
    DType,
    Expand,
    Gather,
    Pad,
    Reshape,
    Slice,
    Transpose,
)


def _constant_tensor(graph: QdqGraph, step: ConstantTensor) -> None:
    graph.define(step.output, np.asarray(graph.program.constants[step.value]))


def _reshape(graph: QdqGraph, step: Reshape) -> None:
    shape = graph.constant(f"{step.output}/shape", np.array(step.shape, np.int64))
    graph.write("Reshape", [graph.real(step.input), shape], step.output)


def _concat(graph: QdqGraph, step: Concat) -> None:
    inputs = [graph.real(name) for name in step.inputs]
    graph.write("Concat", inputs, step.output, axis=step.axis)


def _transpose(graph: QdqGraph, step: Transpose) -> None:
    graph.write("Transpose", [graph.real(step.input)], step.output, perm=step.permutation)


def _slice(graph: QdqGraph, step: Slice) -> None:
    bounds = {"start": step.start, "stop": step.stop, "axis": step.axis, "stride": step.stride}
    constants = [
        graph.constant(f"{step.output}/{name}", np.array([value], np.int64))
        for name, value in bounds.items()
    ]
    graph.write("Slice", [graph.real(step.input), *constants], step.output)


def _expand(graph: QdqGraph, step: Expand) -> None:
    """ONNX keeps an extent of the input where the shape says 1, a step where it says 0."""
    extents = np.array([extent or 1 for extent in step.shape], np.int64)
    shape = graph.constant(f"{step.output}/shape", extents)
    graph.write("Expand", [graph.real(step.input), shape], step.output)


def _pad(graph: QdqGraph, step: Pad) -> None:
    """The real value 0 is the zero point of a quantized tensor."""
    dtype = graph.program.tensor(step.input).dtype
    is_quantized = dtype is DType.UINT8
    kind = np.dtype(np.float32) if is_quantized else dtype.numpy
    pads = np.array([*(before for before, _ in step.pads), *(behind for _, behind in step.pads)])
    constants = [
        graph.constant(f"{step.output}/pads", pads.astype(np.int64)),
        graph.constant(
            f"{step.output}/value", np.asarray(0.0 if is_quantized else step.value).astype(kind)
        ),
    ]
    graph.write("Pad", [graph.real(step.input), *constants], step.output)


def _gather(graph: QdqGraph, step: Gather) -> None:
    graph.write("Gather", [graph.real(step.input), step.indices], step.output, axis=step.axis)


RULES: Mapping[type[Any], Rule] = {
    ConstantTensor: _constant_tensor,
    Reshape: _reshape,
    Concat: _concat,
    Transpose: _transpose,
    Slice: _slice,
    Expand: _expand,
    Pad: _pad,
    Gather: _gather,
}
