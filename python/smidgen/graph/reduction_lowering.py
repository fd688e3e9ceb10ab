"""Calls that reduce axes: sums, means, extremes, norms. Needs no torch."""

from __future__ import annotations

from smidgen.graph import operations as ops
from smidgen.graph.arguments import Arguments, Tensor, UnsupportedCase
from smidgen.graph.axis_numbers import named_axes
from smidgen.graph.lowered import Computed, Lowered
from smidgen.graph.operations import OpKind


def mean(arguments: Arguments) -> Lowered:
    """aten.mean.dim; over height and width of images it is global average pooling."""
    value = arguments.activation("self")
    if len(value.shape) != 4 or named_axes(arguments, "dim", 4) != {2, 3}:
        return reduce("mean", arguments)
    pooled: tuple[ops.Operation, ...] = (ops.GlobalAveragePool(),)
    return Computed(pooled if arguments.flag("keepdim") else (*pooled, ops.Flatten()), (value,))


def reduce(function: str, arguments: Arguments) -> Lowered:
    """aten.sum.dim_IntList, aten.mean.dim and aten.amax.default, over axes behind the batch."""
    value = arguments.tensor("self")
    if "dtype" in arguments and arguments["dtype"] is not None:
        raise UnsupportedCase("a reduction in another element type")
    return _reduction(function, value, arguments)


def _reduction(function: str, value: Tensor | Computed, arguments: Arguments) -> Computed:
    shape = arguments.tensor("self").shape
    axes = named_axes(arguments, "dim", len(shape)) or set(range(len(shape)))
    if 0 in axes:
        raise UnsupportedCase("a reduction over the samples")
    operation = ops.Reduce(function, tuple(sorted(axes)), arguments.flag("keepdim"))
    return Computed((operation,), (value,))


def vector_norm(arguments: Arguments) -> Lowered:
    """aten.linalg_vector_norm.default of order 2."""
    value = arguments.tensor("self")
    if arguments.number("ord") != 2 or arguments["dtype"] is not None:
        raise UnsupportedCase("a norm of an order other than 2, or in another element type")
    square = Computed((ops.Multiply(),), (value, value))
    summed = _reduction("sum", square, arguments)
    return Computed((*summed.operations, ops.Unary(OpKind.SQRT)), summed.inputs)
