"""Steps on uint8 tensors, and those between uint8 and float32."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program.steps.fields import ConstantName, IntPair, Padding, TensorName


@dataclass(frozen=True, slots=True)
class Quantize:
    """float32 to uint8 with the output's scale and zero point."""

    input: TensorName
    output: TensorName


@dataclass(frozen=True, slots=True)
class Dequantize:
    """uint8 to float32 with the input's scale and zero point."""

    input: TensorName
    output: TensorName


@dataclass(frozen=True, slots=True)
class Conv2d:
    """Convolution with int8 weights per output channel, requantized and clamped to [qmin, qmax].

    Constants: weight [O, C / groups, KH, KW] int8; weight_scale [O] float32; bias [O] int32.
    """

    input: TensorName
    output: TensorName
    weight: ConstantName
    weight_scale: ConstantName
    bias: ConstantName
    stride: IntPair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: IntPair = (1, 1)
    groups: int = 1
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class Linear:
    """Product of [..., I] with int8 weights per channel, requantized and clamped to [qmin, qmax].

    The input has any rank from 2 on but 4, as images lie with their channels innermost; reshape it.
    A float32 output takes the scaled accumulators as they are; qmin and qmax do not apply to it.
    Constants: weight [O, I] int8; weight_scale [O] float32; bias [O] int32.
    """

    input: TensorName
    output: TensorName
    weight: ConstantName
    weight_scale: ConstantName
    bias: ConstantName
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class Add:
    """Elementwise sum of two tensors of one shape, clamped to [qmin, qmax]."""

    lhs: TensorName
    rhs: TensorName
    output: TensorName
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class Multiply:
    """Elementwise product of two tensors, clamped to [qmin, qmax].

    Of one shape, or one [N, C, H, W] and the other [N, C, 1, 1], which scales its channels.
    """

    lhs: TensorName
    rhs: TensorName
    output: TensorName
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class AveragePool2d:
    """Mean over windows of [N, C, H, W], clamped to [qmin, qmax]."""

    input: TensorName
    output: TensorName
    kernel: IntPair
    stride: IntPair
    padding: Padding = (0, 0, 0, 0)
    count_include_pad: bool = True
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class GlobalAveragePool:
    """Mean over all of H and W; [N, C, H, W] to [N, C, 1, 1], clamped to [qmin, qmax]."""

    input: TensorName
    output: TensorName
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class MaxPool2d:
    """Largest value of windows of [N, C, H, W]; input and output share scale and zero point."""

    input: TensorName
    output: TensorName
    kernel: IntPair
    stride: IntPair
    padding: Padding = (0, 0, 0, 0)
    dilation: IntPair = (1, 1)


@dataclass(frozen=True, slots=True)
class Lookup:
    """Any function of one uint8 value, as a table; also how a tensor gets another scale.

    Constants: table [256] uint8.
    """

    input: TensorName
    output: TensorName
    table: ConstantName


QuantizedStep = (
    Quantize
    | Dequantize
    | Conv2d
    | Linear
    | Add
    | Multiply
    | AveragePool2d
    | GlobalAveragePool
    | MaxPool2d
    | Lookup
)
