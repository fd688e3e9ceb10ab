"""Calls that pool windows of images. Needs no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    Activation,
    ArgumentError,
    Arguments,
    Constant,
    PoolIndices,
    UnsupportedCase,
)
from smidgen.graph.constant_limit import check_constant
from smidgen.graph.lowered import Computed, Forwarded, Lowered
from smidgen.graph.shapes import show


def max_pool(arguments: Arguments) -> Lowered:
    """aten.max_pool2d.default and aten.max_pool2d_with_indices.default."""
    operation = ops.MaxPool(
        *_pool_geometry(arguments), arguments.pair("dilation"), arguments.flag("ceil_mode")
    )
    value = arguments.activation("self")
    is_plain = operation.padding == (0, 0) and operation.dilation == (1, 1)
    window = operation.kernel if operation.kernel == operation.stride else None
    indices = PoolIndices(value, window if is_plain else None)
    return Computed((operation,), (value,), statistics=(indices,))


def average_pool(arguments: Arguments) -> Lowered:
    """aten.avg_pool2d.default."""
    if arguments["divisor_override"] is not None:
        raise UnsupportedCase("an overridden divisor")
    operation = ops.AveragePool(
        *_pool_geometry(arguments), arguments.flag("ceil_mode"), arguments.flag("count_include_pad")
    )
    return Computed((operation,), (arguments.activation("self"),))


def _pool_geometry(arguments: Arguments) -> tuple[ops.Pair, ops.Pair, ops.Pair]:
    kernel = arguments.pair("kernel_size")
    stride = arguments.pair("stride") if arguments.integers("stride") else kernel
    return kernel, stride, arguments.pair("padding")


def adaptive_average_pool(arguments: Arguments) -> Lowered:
    """aten.adaptive_avg_pool2d.default."""
    value = arguments.activation("self")
    wanted, found = arguments.pair("output_size"), value.shape[2:]
    if len(value.shape) != 4 or min(wanted) < 1:
        raise ArgumentError(f"it has output size {wanted} for the shape {show(value.shape)}")
    if wanted == (1, 1):
        return Computed((ops.GlobalAveragePool(),), (value,))
    if wanted == found:
        return Forwarded(value, is_copy=True)
    sizes = [size or 1 for size in found]
    if any(size % parts for size, parts in zip(sizes, wanted, strict=True)):
        return _uneven_average(value, wanted)
    kernel = (sizes[0] // wanted[0], sizes[1] // wanted[1])
    return Computed((ops.AveragePool(kernel, kernel),), (value,))


def _uneven_average(value: Activation, wanted: ops.Pair) -> Computed:
    """Averages over windows of different sizes by products with matrices of their shares."""
    rows, columns = (
        shares(extent or 1, parts) for extent, parts in zip(value.shape[2:], wanted, strict=True)
    )
    narrowed = Computed((ops.MatMul(),), (value, Constant(np.ascontiguousarray(columns.T))))
    return Computed((ops.MatMul(),), (Constant(rows), narrowed))


def shares(extent: int, parts: int) -> NDArray[np.float32]:
    """Returns the matrix [parts, extent] of averages over adaptive windows."""
    check_constant(parts, extent)
    matrix = np.zeros((parts, extent), np.float32)
    for part in range(parts):
        start, stop = part * extent // parts, -(-(part + 1) * extent // parts)
        matrix[part, start:stop] = 1.0 / (stop - start)
    return matrix
