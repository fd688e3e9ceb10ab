"""Normalizations, and dropout, which does nothing in evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.float_graph import extents
from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write
from smidgen.graph.operations import BatchNorm, Dropout, GroupNorm, LayerNorm


def _batch_norm(write: Write) -> None:
    norm: BatchNorm = write.operation
    channels = write.graph.array(norm.running_mean).size
    weights = [
        _filled(write, norm.weight, channels, 1.0),
        _filled(write, norm.bias, channels, 0.0),
        write.graph.weight(norm.running_mean),
        write.graph.weight(norm.running_var),
    ]
    if not norm.channels_last:
        write.node("BatchNormalization", [*write.names, *weights], epsilon=norm.eps)
        return
    moved = write.graph.node("Transpose", write.names, perm=(0, 2, 1))
    normal = write.graph.node("BatchNormalization", [moved, *weights], epsilon=norm.eps)
    write.node("Transpose", [normal], perm=(0, 2, 1))


def _layer_norm(write: Write) -> None:
    norm: LayerNorm = write.operation
    inputs = [*write.names, _filled(write, norm.weight, write.inputs[0].shape[-1] or 1, 1.0)]
    if norm.bias is not None:
        inputs.append(write.graph.weight(norm.bias))
    write.node("LayerNormalization", inputs, axis=-1, epsilon=norm.eps)


def _group_norm(write: Write) -> None:
    """The groups as channels of an instance norm: opset 17 has no operator for groups."""
    norm: GroupNorm = write.operation
    graph, shape, hint = write.graph, write.inputs[0].shape, write.output.name
    by_group = graph.constant(f"{hint}/groups", np.array([0, norm.groups, -1], np.int64))
    ones = graph.constant(f"{hint}/ones", np.ones(norm.groups, np.float32))
    zeros = graph.constant(f"{hint}/zeros", np.zeros(norm.groups, np.float32))
    grouped = graph.node("Reshape", [*write.names, by_group])
    normal = graph.node("InstanceNormalization", [grouped, ones, zeros], epsilon=norm.eps)
    back = graph.constant(f"{hint}/shape", extents(shape))
    factors = [
        (operator, graph.array(name).reshape(-1, *[1] * (len(shape) - 2)))
        for operator, name in (("Mul", norm.weight), ("Add", norm.bias))
        if name is not None
    ]
    if not factors:
        write.node("Reshape", [normal, back])
        return
    found = graph.node("Reshape", [normal, back])
    for operator, values in factors[:-1]:
        found = graph.node(operator, [found, graph.constant(f"{hint}/{operator}", values)])
    operator, values = factors[-1]
    write.node(operator, [found, graph.constant(f"{hint}/{operator}", values)])


def _dropout(write: Write) -> None:
    write.node("Identity", write.names)


def _filled(write: Write, weight: str | None, size: int, value: float) -> str:
    """Returns a weight, or what changes nothing in its place."""
    if weight is not None:
        return write.graph.weight(weight)
    return write.graph.constant(f"{write.output.name}/{value}", np.full(size, value, np.float32))


RULES: Mapping[type[Any], FloatRule] = {
    BatchNorm: _batch_norm,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
    Dropout: _dropout,
}
