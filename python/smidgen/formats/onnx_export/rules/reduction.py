"""Steps in which each value depends on many along some axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.qdq_graph import QdqGraph
from smidgen.formats.onnx_export.rules.rule import Rule
from smidgen.program import LayerNorm, Reduce, Softmax

# Of those whose axes are an attribute; ReduceSum takes them as an input since opset 13.
REDUCTIONS = {"mean": "ReduceMean", "maximum": "ReduceMax", "minimum": "ReduceMin"}


def _reduce(graph: QdqGraph, step: Reduce) -> None:
    keep = int(step.keep_dims)
    if step.function == "argmax":
        graph.node("ArgMax", [step.input], step.output, axis=step.axes[0], keepdims=keep)
    elif step.function == "sum":
        axes = graph.constant(f"{step.output}/axes", np.array(step.axes, np.int64))
        graph.node("ReduceSum", [step.input, axes], step.output, keepdims=keep)
    else:
        operator = REDUCTIONS[step.function]
        graph.node(operator, [step.input], step.output, axes=step.axes, keepdims=keep)


def _softmax(graph: QdqGraph, step: Softmax) -> None:
    graph.node("Softmax", [step.input], step.output, axis=step.axis)


def _layer_norm(graph: QdqGraph, step: LayerNorm) -> None:
    constants = graph.program.constants
    size = graph.program.tensor(step.input).shape[-1]
    weight = np.ones(size or 1, np.float32) if step.weight is None else constants[step.weight]
    inputs = [step.input, graph.constant(f"{step.output}/weight", np.asarray(weight))]
    if step.bias is not None:
        inputs.append(graph.constant(f"{step.output}/bias", np.asarray(constants[step.bias])))
    graph.node("LayerNormalization", inputs, step.output, axis=-1, epsilon=step.epsilon)


RULES: Mapping[type[Any], Rule] = {Reduce: _reduce, Softmax: _softmax, LayerNorm: _layer_norm}
