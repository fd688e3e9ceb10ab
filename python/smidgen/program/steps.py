"""The steps of an integer program, one class an operation.

A step names the tensors it reads and writes and the constants it uses. It holds no scale of its
own: multipliers follow from the scales of its tensors and weights (docs/arithmetic.md), so there is
one place for each number.
"""

from __future__ import annotations

from dataclasses import dataclass

IntPair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True, slots=True)
class Quantize:
    """float32 to uint8 with the output's scale and zero point."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Dequantize:
    """uint8 to float32 with the input's scale and zero point."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Conv2d:
    """Convolution with int8 weights per output channel, requantized and clamped to [qmin, qmax].

    Constants: weight [O, C / groups, KH, KW] int8; weight_scale [O] float32; bias [O] int32.
    """

    input: str
    output: str
    weight: str
    weight_scale: str
    bias: str
    stride: IntPair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: IntPair = (1, 1)
    groups: int = 1
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class Linear:
    """Product of [N, I] with int8 weights per channel, requantized and clamped to [qmin, qmax].

    Constants: weight [O, I] int8; weight_scale [O] float32; bias [O] int32.
    """

    input: str
    output: str
    weight: str
    weight_scale: str
    bias: str
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class Add:
    """Elementwise sum of two tensors of one shape, clamped to [qmin, qmax]."""

    lhs: str
    rhs: str
    output: str
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class AveragePool2d:
    """Mean over windows of [N, C, H, W], clamped to [qmin, qmax]."""

    input: str
    output: str
    kernel: IntPair
    stride: IntPair
    padding: Padding = (0, 0, 0, 0)
    count_include_pad: bool = True
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class GlobalAveragePool:
    """Mean over all of H and W; [N, C, H, W] to [N, C, 1, 1], clamped to [qmin, qmax]."""

    input: str
    output: str
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class MaxPool2d:
    """Largest value of windows of [N, C, H, W]; input and output share scale and zero point."""

    input: str
    output: str
    kernel: IntPair
    stride: IntPair
    padding: Padding = (0, 0, 0, 0)
    dilation: IntPair = (1, 1)


@dataclass(frozen=True, slots=True)
class Concat:
    """Tensors joined along the channels (axis 1); all share the output's scale and zero point."""

    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True)
class Lookup:
    """Any function of one uint8 value, as a table; also how a tensor gets another scale.

    Constants: table [256] uint8.
    """

    input: str
    output: str
    table: str


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same values in row-major order of the logical layout under another shape.

    shape: one extent an axis; 0 keeps the input's extent at that place, -1 (at most once) takes
    what is left.
    """

    input: str
    output: str
    shape: tuple[int, ...]


Step = (
    Quantize
    | Dequantize
    | Conv2d
    | Linear
    | Add
    | AveragePool2d
    | GlobalAveragePool
    | MaxPool2d
    | Concat
    | Lookup
    | Reshape
)

STEP_TYPES: tuple[type[Step], ...] = (
    Quantize,
    Dequantize,
    Conv2d,
    Linear,
    Add,
    AveragePool2d,
    GlobalAveragePool,
    MaxPool2d,
    Concat,
    Lookup,
    Reshape,
)


def step_inputs(step: Step) -> tuple[str, ...]:
    """Returns the names of the tensors that a step reads."""
    if isinstance(step, Add):
        return (step.lhs, step.rhs)
    if isinstance(step, Concat):
        return step.inputs
    return (step.input,)
