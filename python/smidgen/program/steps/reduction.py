"""Steps on float32 tensors in which each value depends on many along some axes."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program.steps.fields import ConstantName, TensorName


@dataclass(frozen=True, slots=True)
class Reduce:
    """The sum, mean, maximum or minimum over some axes, or the place of the maximum along one.

    function: one of REDUCTIONS; argmax takes one axis and gives int64.
    axes: in ascending order, 0 to the rank - 1.
    keep_dims: whether the axes stay, with extent 1.
    """

    input: TensorName
    output: TensorName
    function: str
    axes: tuple[int, ...]
    keep_dims: bool = False


REDUCTIONS = ("sum", "mean", "maximum", "minimum", "argmax")


@dataclass(frozen=True, slots=True)
class Softmax:
    """exp(x) divided by its sum along an axis, 0 to the rank - 1."""

    input: TensorName
    output: TensorName
    axis: int


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Rows along the last axis, less their mean, divided by their standard deviation.

    Constants, each optional: weight [D] float32 multiplies, bias [D] float32 is added.
    epsilon: a float32 value, not negative, added to the variance.
    """

    input: TensorName
    output: TensorName
    epsilon: float
    weight: ConstantName | None = None
    bias: ConstantName | None = None


ReductionStep = Reduce | Softmax | LayerNorm
