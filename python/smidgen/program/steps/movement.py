"""Steps that move values of any type to other places without changing them."""

from __future__ import annotations

from dataclasses import dataclass, field

from smidgen.program.steps.fields import ConstantName, IntPair, TensorName


@dataclass(frozen=True, slots=True)
class ConstantTensor:
    """A constant as a tensor, for steps to read; it takes no time in a run.

    Constants: value, of the output's type and shape.
    """

    output: TensorName
    value: ConstantName


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same values in row-major order of the logical layout under another shape.

    shape: one extent an axis; 0 keeps the input's extent at that place, -1 (at most once) takes
    what is left.
    """

    input: TensorName
    output: TensorName
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Concat:
    """Tensors of one type joined along an axis; uint8 ones share the output's scale and zero point.

    axis: 0 to the rank - 1.
    """

    inputs: tuple[TensorName, ...]
    output: TensorName
    axis: int = field(default=1, metadata={"since": 2})


@dataclass(frozen=True, slots=True)
class Transpose:
    """Axes in another order: axis i of the output is axis permutation[i] of the input."""

    input: TensorName
    output: TensorName
    permutation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Every stride-th value from start to before stop along an axis.

    start and stop: as in Python, negative ones count from the end, those beyond the ends are
    clamped; stride: at least 1. At least one value must be left.
    """

    input: TensorName
    output: TensorName
    axis: int
    start: int
    stop: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Expand:
    """Broadcast to a shape, as numpy does.

    shape: one extent an axis of the output; 0 keeps the input's extent at that place, counted from
    the end.
    """

    input: TensorName
    output: TensorName
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pad:
    """Values of one kind put around a tensor; uint8 tensors get their zero point.

    pads: how many before and behind along each axis, none negative.
    """

    input: TensorName
    output: TensorName
    pads: tuple[IntPair, ...]
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Gather:
    """The slices of a tensor along an axis that int64 indices name.

    An input [A, N, B] with N at the axis and indices [I] give [A, I, B], whatever ranks A, I and B
    have. An index is clamped to [0, N - 1]; `smidgen.program.index_counts` finds the inputs of a
    program in which the engine refuses others.
    """

    input: TensorName
    indices: TensorName
    output: TensorName
    axis: int = 0


MovementStep = ConstantTensor | Reshape | Concat | Transpose | Slice | Expand | Pad | Gather
