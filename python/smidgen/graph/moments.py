"""What aten.var and aten.std mean: means of squared distances from the mean. Needs no torch."""

from __future__ import annotations

import math

import numpy as np

from smidgen.graph import operations as ops
from smidgen.graph.arguments import Arguments, Constant, UnsupportedCase
from smidgen.graph.axis_numbers import distinct_axes
from smidgen.graph.lowered import Computed, Lowered, Several
from smidgen.graph.operations import FLOAT32, OpKind


def variance(arguments: Arguments) -> Lowered:
    """aten.var.dim and aten.var.correction, over axes behind the samples."""
    return _moments(arguments)[1]


def deviation(arguments: Arguments) -> Lowered:
    """aten.std.dim and aten.std.correction: the square root of the variance."""
    return Computed((ops.Unary(OpKind.SQRT),), (_moments(arguments)[1],))


def variance_and_mean(arguments: Arguments) -> Lowered:
    """aten.var_mean.dim and aten.var_mean.correction."""
    mean, spread = _moments(arguments)
    return Several((spread, mean))


def _moments(arguments: Arguments) -> tuple[Computed, Computed]:
    """Returns mean and variance."""
    value = arguments.tensor("self")
    rank = len(value.shape)
    axes = tuple(sorted(distinct_axes(arguments.integers("dim"), rank)))
    if not axes or axes[0] == 0:
        raise UnsupportedCase("a variance over the samples, which must not depend on each other")
    if value.dtype != FLOAT32:
        raise UnsupportedCase(f"a variance of {value.dtype}")
    count = math.prod(value.shape[axis] or 1 for axis in axes)
    rest = count - _correction(arguments)
    if rest <= 0:
        raise UnsupportedCase(f"a variance of {count} elements with the divisor {rest:g}")
    keeps = arguments.flag("keepdim")
    center = Computed((ops.Reduce("mean", axes, keep_dims=True),), (value,))
    distance = Computed((ops.Binary(OpKind.SUB),), (value, center))
    square = Computed((ops.Multiply(),), (distance, distance))
    spread = Computed((ops.Reduce("mean", axes, keeps),), (square,))
    if rest != count:
        factor = Constant(np.array(count / rest, np.float32))
        spread = Computed((ops.Multiply(),), (spread, factor))
    return Computed((ops.Reduce("mean", axes, keeps),), (value,)), spread


def _correction(arguments: Arguments) -> float:
    """Returns what the divisor is less than the number of elements, 1 if nothing is said."""
    if "unbiased" in arguments:
        return float(arguments.flag("unbiased"))
    stated = arguments.optional_number("correction")
    return 1.0 if stated is None else stated
