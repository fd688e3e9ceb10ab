"""Convolutions on float32: layers that a conversion leaves in float."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program.steps.fields import ConstantName, IntPair, Padding, TensorName


@dataclass(frozen=True, slots=True)
class FloatConv2d:
    """Convolution of float32 [N, C, H, W], for each output in the order of its weights.

    Constants: weight [O, C / groups, KH, KW] float32; bias [O] float32.
    """

    input: TensorName
    output: TensorName
    weight: ConstantName
    bias: ConstantName
    stride: IntPair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: IntPair = (1, 1)
    groups: int = 1


@dataclass(frozen=True, slots=True)
class FloatConvTranspose2d:
    """Transposed convolution of float32 [N, C, H, W]; see ConvTranspose2d for its geometry.

    Constants: weight [C, O / groups, KH, KW] float32; bias [O] float32.
    """

    input: TensorName
    output: TensorName
    weight: ConstantName
    bias: ConstantName
    stride: IntPair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    output_padding: IntPair = (0, 0)
    dilation: IntPair = (1, 1)
    groups: int = 1


FloatLayerStep = FloatConv2d | FloatConvTranspose2d
