"""Layers with weights: those of the program, times their scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.health.twin.writer import TwinWriter
from smidgen.program import (
    Binary,
    Conv2d,
    ConvTranspose2d,
    DynamicLinear,
    FloatConv2d,
    FloatConvTranspose2d,
    Linear,
    MatMul,
)

F32 = NDArray[np.float32]


def _bias(writer: TwinWriter, step: Conv2d | ConvTranspose2d | Linear) -> F32:
    """Returns the bias in float, whose scale is the input's times the weights'."""
    scales = writer.kept(step.weight_scale).astype(np.float64) * writer.scale(step.input)
    return (writer.kept(step.bias) * scales).astype(np.float32)


def _by_output(writer: TwinWriter, weight: str, weight_scale: str) -> F32:
    """Returns weights [O, ...] in float."""
    values, scales = writer.kept(weight), writer.kept(weight_scale)
    writer.expect_room(*values.shape)
    spread = scales.reshape(-1, *[1] * (values.ndim - 1))
    weights: F32 = np.multiply(values, spread, dtype=np.float32)
    return weights


def _conv2d(writer: TwinWriter, step: Conv2d) -> None:
    weight = _by_output(writer, step.weight, step.weight_scale)
    output = writer.unclamped(step.output)
    writer.add(
        FloatConv2d(
            writer.read(step.input),
            output,
            writer.constant(step.output, "weight", weight),
            writer.constant(step.output, "bias", _bias(writer, step)),
            stride=step.stride,
            padding=step.padding,
            dilation=step.dilation,
            groups=step.groups,
        )
    )
    writer.clamped(step.output, output)


def _conv_transpose2d(writer: TwinWriter, step: ConvTranspose2d) -> None:
    values = writer.kept(step.weight)
    writer.expect_room(*values.shape)
    channels, per_group, *kernel = values.shape
    grouped = values.reshape(step.groups, channels // step.groups, per_group, *kernel)
    scales = writer.kept(step.weight_scale).reshape(step.groups, 1, per_group, 1, 1)
    weight = np.multiply(grouped, scales, dtype=np.float32).reshape(values.shape)
    output = writer.unclamped(step.output)
    writer.add(
        FloatConvTranspose2d(
            writer.read(step.input),
            output,
            writer.constant(step.output, "weight", weight),
            writer.constant(step.output, "bias", _bias(writer, step)),
            stride=step.stride,
            padding=step.padding,
            output_padding=step.output_padding,
            dilation=step.dilation,
            groups=step.groups,
        )
    )
    writer.clamped(step.output, output)


def _linear(writer: TwinWriter, step: Linear) -> None:
    _product(writer, step, _bias(writer, step))


def _dynamic_linear(writer: TwinWriter, step: DynamicLinear) -> None:
    _product(writer, step, writer.kept(step.bias))


def _product(writer: TwinWriter, step: Linear | DynamicLinear, bias: F32) -> None:
    near = step.output
    weight = _by_output(writer, step.weight, step.weight_scale)
    product = writer.between(near, "product", writer.source.tensor(near).shape)
    rows = writer.constant_tensor(near, "weight", weight)
    writer.add(MatMul(writer.read(step.input), rows, product, transpose_rhs=True))
    output = writer.unclamped(near)
    writer.add(Binary(product, writer.constant_tensor(near, "bias", bias), output, "add"))
    writer.clamped(near, output)


RULES: Mapping[type[Any], Callable[[TwinWriter, Any], None]] = {
    Conv2d: _conv2d,
    ConvTranspose2d: _conv_transpose2d,
    Linear: _linear,
    DynamicLinear: _dynamic_linear,
}
