"""What calls of the ATen operators of signals and of constant indices mean. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    MAX_EXTENT,
    Activation,
    ArgumentError,
    Arguments,
    Constant,
    Tensor,
    TypeNumber,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.axis_numbers import axis_of
from smidgen.graph.constant_limit import check_constant
from smidgen.graph.elementwise_lowering import operand_pair
from smidgen.graph.lowered import Computed, Forwarded, Lowered, Reshaped
from smidgen.graph.operations import FLOAT32, INT64, OpKind, Shape
from smidgen.graph.pooling_lowering import shares
from smidgen.graph.shape_lowering import resolve_sizes
from smidgen.graph.shapes import broadcast, show

_MOST_RUNS = 256
"""Parts of a tensor that constant indices may select."""
_MOST_WINDOW = 1024
"""Places of a window whose elements become channels."""

_Run = tuple[int, int, int]


def conv1d(arguments: Arguments) -> Lowered:
    """aten.conv1d: a convolution of images of one row."""
    value, weight = arguments.activation("input"), arguments.weight("weight")
    if len(value.shape) != 3 or len(weight.shape) != 3:
        raise UnsupportedCase(f"a signal of the shape {show(value.shape)}")
    stride, dilation = (_only(arguments, name) for name in ("stride", "dilation"))
    before, behind = _padding(arguments, weight.shape[2], dilation)
    batch, channels, length = value.shape
    image: list[ops.Operation] = [ops.Reshape((batch, channels, 1, length))]
    if before != behind:
        image.append(ops.Pad(((0, 0), (0, 0), (0, 0), (before, behind))))
    padding = before if before == behind else 0
    kernel = arguments.new_weight(weight.array.reshape(*weight.shape[:2], 1, weight.shape[2]))
    image.append(
        ops.Conv2d(
            kernel, arguments.optional_weight("bias"), (1, stride), (0, padding), (1, dilation),
            arguments.integer("groups"),
        )
    )  # fmt: skip
    reached = (length or 1) + before + behind - dilation * (weight.shape[2] - 1) - 1
    count = reached // max(stride, 1) + 1
    return Computed((*image, ops.Reshape((batch, weight.shape[0], count))), (value,))


def _only(arguments: Arguments, name: str) -> int:
    found = arguments.integers(name)
    if len(found) != 1:
        raise ArgumentError(f"it has {len(found)} numbers {name!r}, expected one")
    return found[0]


def _padding(arguments: Arguments, kernel: int, dilation: int) -> tuple[int, int]:
    padding = arguments["padding"]
    if padding == "valid":
        return 0, 0
    if padding == "same":
        total = dilation * (kernel - 1)
        return total // 2, total - total // 2
    if isinstance(padding, str):
        raise ArgumentError("its padding is neither 'valid' nor 'same'")
    amount = _only(arguments, "padding")
    return amount, amount


def average_pool_of_depth(arguments: Arguments) -> Lowered:
    """aten.avg_pool3d.default over the depth alone, as normalization over channels has it."""
    value, kernel = arguments.activation("self"), arguments.integers("kernel_size")
    stride = arguments.integers("stride") or kernel
    padding = _three(arguments.integers("padding"))
    if (
        len(value.shape) != 5
        or _three(kernel)[1:] != (1, 1)
        or _three(stride)[1:] != (1, 1)
        or padding[1:] != (0, 0)
        or arguments["divisor_override"] is not None
        or arguments.flag("ceil_mode")
    ):
        raise UnsupportedCase("an average over other than the depth")
    _, channels, depth, height, width = (extent or 1 for extent in value.shape)
    window, step = _three(kernel)[0], _three(stride)[0]
    count = (depth + 2 * padding[0] - window) // max(step, 1) + 1
    pool = ops.AveragePool(
        (window, 1), (step, 1), (padding[0], 0),
        count_include_pad=arguments.flag("count_include_pad"),
    )  # fmt: skip
    first = value.shape[0]
    operations = (
        ops.Reshape((first, channels, depth, height * width)),
        pool,
        ops.Reshape((first, channels, count, height, width)),
    )
    return Computed(operations, (value,))


def _three(numbers: Sequence[int]) -> tuple[int, ...]:
    return tuple(numbers) * 3 if len(numbers) == 1 else tuple(numbers)


def running_sum(arguments: Arguments) -> Lowered:
    """aten.cumsum.default along the last axis: a product with a triangle of ones.

    Sums of integers up to 2^24 are exact in float32, which no count of tokens comes near.
    """
    value, dtype = arguments.tensor("self"), arguments["dtype"]
    rank = len(value.shape)
    axis = axis_of(arguments.integer("dim"), rank)
    extent = value.shape[axis]
    if axis != rank - 1 or rank < 2 or extent is None:
        raise UnsupportedCase("a running sum along other than the last axis")
    stated = dtype.name if isinstance(dtype, TypeNumber) else value.dtype
    wanted = INT64 if stated == "bool" else stated
    check_constant(extent, extent)
    triangle = Constant(np.triu(np.ones((extent, extent), np.float32)))
    operations: list[ops.Operation] = [ops.MatMul()]
    if wanted != FLOAT32:
        operations.append(ops.Cast(wanted))
    summand = value if value.dtype == FLOAT32 else Computed((ops.Cast(FLOAT32),), (value,))
    return Computed(tuple(operations), (summand, triangle))


def gather(arguments: Arguments) -> Lowered:
    """aten.gather.default of a constant by constant indices, or by any where it is one number."""
    index, table = arguments.tensor("index"), arguments.constant("self")
    if index.dtype != INT64:
        raise ArgumentError(f"it selects by elements of the type {index.dtype}")
    rank = len(arguments.tensor("self").shape)
    axis = axis_of(arguments.integer("dim"), rank)
    if table is not None and table.array.size and (table.array == table.array.flat[0]).all():
        number = Constant(np.full((1,) * rank, table.array.flat[0]))
        return Computed((ops.Expand(index.shape),), (number,))
    value = arguments["self"]
    if not isinstance(value, Weight | Constant) or isinstance(index, Activation):
        raise UnsupportedCase("elements selected one by one, other than of a constant")
    if rank != len(index.shape) or not _are_inside(index.array, value.shape[axis]):
        raise ArgumentError(f"it selects {show(index.shape)} of {show(value.shape)}")
    smaller = tuple(slice(extent if at != axis else None) for at, extent in enumerate(index.shape))
    return Forwarded(Constant(np.take_along_axis(value.array[smaller], index.array, axis)))


def _are_inside(indices: np.typing.NDArray[np.generic], extent: int) -> bool:
    return bool((indices >= 0).all() and (indices < extent).all())  # type: ignore[operator]


def index_select(arguments: Arguments) -> Lowered:
    """aten.index_select.default by constant indices."""
    value, index = arguments.tensor("self"), arguments.tensor("index")
    if isinstance(index, Activation) or len(index.shape) > 1 or index.dtype != INT64:
        raise UnsupportedCase("indices that are computed, or are no integers")
    return selected(value, axis_of(arguments.integer("dim"), len(value.shape)), index)


def selected(value: Tensor, axis: int, index: Weight | Constant) -> Lowered:
    """Selects elements of an axis by constant indices, run by run.

    Args:
        value: What to select of.
        axis: The axis.
        index: Integers of any shape, which takes the place of the axis.

    Raises:
        ArgumentError: There is no such element.
        UnsupportedCase: The indices have no pattern.
    """
    extent = value.shape[axis]
    indices = index.array.astype(np.int64)
    if extent is None:
        raise UnsupportedCase("a selection of samples")
    if not _are_inside(indices + extent, 2 * extent) or not indices.size:
        raise ArgumentError(f"it selects elements of {extent} that are not there")
    indices = np.where(indices < 0, indices + extent, indices)
    shape: Shape = (*value.shape[:axis], *index.shape, *value.shape[axis + 1 :])
    if not isinstance(value, Activation):
        check_constant(*(extent or 1 for extent in shape))
        return Forwarded(Constant(np.take(value.array, indices, axis)))
    joined = _picked(value, value.shape, axis, list(_runs(indices.ravel().tolist())))
    if len(index.shape) == 1:
        return joined
    return Computed((*joined.operations, ops.Reshape(shape)), joined.inputs)


def extended(value: Activation, pads: Sequence[ops.Pair], mode: str) -> Lowered:
    """Pads with elements of the tensor itself.

    Args:
        value: What to pad.
        pads: How many before and behind along each axis.
        mode: `reflect`, `replicate` or `circular`.

    Raises:
        ArgumentError: There are not as many elements to take.
    """
    found: Activation | Computed = value
    shape = value.shape
    for axis, (before, behind) in enumerate(pads):
        extent = shape[axis]
        if before == behind == 0 or extent is None:
            continue
        most = {"reflect": extent - 1, "circular": extent}.get(mode, MAX_EXTENT)
        if max(before, behind) > most:
            raise ArgumentError(f"it pads {extent} elements by {before} and {behind}")
        found = _picked(found, shape, axis, _extended_runs(extent, before, behind, mode))
        shape = (*shape[:axis], before + extent + behind, *shape[axis + 1 :])
    return found if isinstance(found, Computed) else Forwarded(value, is_copy=True)


def _extended_runs(extent: int, before: int, behind: int, mode: str) -> list[_Run]:
    """Returns the runs of elements that an axis has with the padding."""
    whole = (0, 1, extent)
    if mode == "replicate":
        runs = [(0, 0, before), whole, (extent - 1, 0, behind)]
    elif mode == "circular":
        runs = [(extent - before, 1, before), whole, (0, 1, behind)]
    else:
        if before + behind >= _MOST_RUNS:
            raise UnsupportedCase(f"a reflection of {before + behind} elements")
        front = [(place, 1, 1) for place in range(before, 0, -1)]
        back = [(extent - 2 - place, 1, 1) for place in range(behind)]
        runs = [*front, whole, *back]
    return [run for run in runs if run[2]]


def _picked(
    value: Activation | Computed, shape: Shape, axis: int, runs: Sequence[_Run]
) -> Computed:
    """Concatenates runs of elements along an axis."""
    if len(runs) > _MOST_RUNS:
        raise UnsupportedCase(f"{len(runs)} runs of constant indices, at most {_MOST_RUNS}")
    parts = [_part(value, shape, axis, run) for run in runs]
    return parts[0] if len(parts) == 1 else Computed((ops.Concat(axis),), tuple(parts))


def _runs(indices: Sequence[int]) -> Iterator[_Run]:
    """Yields first index, step and count of runs of indices with a constant step of 0 or more."""
    at = 0
    while at < len(indices):
        step = indices[at + 1] - indices[at] if at + 1 < len(indices) else 1
        end = at + 1
        while step >= 0 and end < len(indices) and indices[end] - indices[end - 1] == step:
            end += 1
        yield indices[at], max(step, 0), end - at
        at = end


def _part(value: Activation | Computed, shape: Shape, axis: int, run: _Run) -> Computed:
    first, step, count = run
    if step == 0 and count > 1:
        repeated = (*shape[:axis], count, *shape[axis + 1 :])
        return Computed((ops.Slice(axis, first, first + 1), ops.Expand(repeated)), (value,))
    stop = first + (count - 1) * step + 1
    return Computed((ops.Slice(axis, first, stop, max(step, 1)),), (value,))


def extreme(function: str, arguments: Arguments) -> Lowered:
    """aten.max.dim and aten.min.dim, of which the indices cannot be used."""
    value = arguments.tensor("self")
    axis = axis_of(arguments.integer("dim"), len(value.shape))
    if axis == 0:
        raise UnsupportedCase("a reduction over the samples")
    operation = ops.Reduce(function, (axis,), arguments.flag("keepdim"))
    return Computed((operation,), (value,), statistics=(None,))


def larger(kind: OpKind, arguments: Arguments) -> Lowered:
    """aten.max.other and aten.min.other."""
    return Computed((ops.Binary(kind),), operand_pair(arguments))


def repeat(arguments: Arguments) -> Lowered:
    """aten.repeat.default: a constant for each sample, or axes several times."""
    value, repeats = arguments.tensor("self"), arguments.sizes("repeats")
    new = len(repeats) - len(value.shape)
    if new < 0:
        raise ArgumentError(f"it repeats {show(value.shape)} by {len(repeats)} numbers")
    if any(isinstance(times, int) and times < 1 for times in repeats):
        raise ArgumentError(f"it repeats {show(value.shape)} less than once")
    extents: Shape = (*(1,) * new, *value.shape)
    operations: list[ops.Operation] = [ops.Reshape(extents)] if new else []
    target: list[int | None] = []
    for axis, (times, extent) in enumerate(zip(repeats, extents, strict=True)):
        if times == 1:
            target.append(extent)
        elif extent == 1:
            target.append(times if isinstance(times, int) else None)
        elif isinstance(times, int) and times > 1 and axis > 0 and isinstance(value, Activation):
            raise UnsupportedCase("an axis of several elements repeated")
        else:
            raise UnsupportedCase("the samples repeated")
    if tuple(target) == extents and not new:
        return Forwarded(value, is_copy=True)
    return Computed((*operations, ops.Expand(tuple(target))), (value,))


def unflatten(arguments: Arguments) -> Lowered:
    """aten.unflatten.int."""
    value, sizes = arguments.tensor("self"), arguments.sizes("sizes")
    axis = axis_of(arguments.integer("dim"), len(value.shape))
    split = resolve_sizes((value.shape[axis],), sizes)
    if None in split[1:] or (axis and None in split):
        raise UnsupportedCase("an axis before the dynamic batch")
    return Reshaped(value, (*value.shape[:axis], *split, *value.shape[axis + 1 :]))


def of_all(function: str, arguments: Arguments) -> Lowered:
    """aten.sum.default and aten.mean.default of a constant."""
    value = arguments.tensor("self")
    if arguments["dtype"] is not None:
        raise UnsupportedCase("a reduction in another element type")
    if isinstance(value, Activation):
        raise UnsupportedCase(
            f"a {function} over the samples too, which must not depend on each other: name the "
            f"other axes, as in {function}(dim=(1, 2))"
        )
    if function == "mean" and value.dtype != FLOAT32:
        raise UnsupportedCase(f"a mean of {value.dtype}")
    reduce = np.sum if function == "sum" else np.mean
    reduced = reduce(value.array, dtype=value.array.dtype)
    return Forwarded(Constant(np.asarray(reduced)))


def added_product(arguments: Arguments) -> Lowered:
    """aten.baddbmm.default: beta * self + alpha * batch1 @ batch2."""
    first, second = arguments.tensor("batch1"), arguments.tensor("batch2")
    product = Computed((ops.MatMul(),), (first, second))
    addend = _scaled(arguments.tensor("self"), arguments.number("beta"))
    return Computed((ops.Add(),), (addend, _scaled(product, arguments.number("alpha"))))


def _scaled(value: Tensor | Computed, factor: float) -> Tensor | Computed:
    if factor == 1:
        return value
    return Computed((ops.Multiply(),), (value, Constant(np.array(factor, np.float32))))


def weight_norm(arguments: Arguments) -> Lowered:
    """aten._weight_norm.default of constants: v * g / |v|, the norm over all axes but one."""
    direction, length = arguments.weight("v").array, arguments.weight("g").array
    kept = axis_of(arguments.integer("dim"), direction.ndim)
    axes = tuple(axis for axis in range(direction.ndim) if axis != kept)
    lengths = tuple(n if axis == kept else 1 for axis, n in enumerate(direction.shape))
    if length.shape != lengths:
        raise ArgumentError(
            f"it has lengths of the shape {list(length.shape)}, not {list(lengths)}"
        )
    norm = np.sqrt(np.square(direction.astype(np.float64)).sum(axis=axes, keepdims=True))
    with np.errstate(all="ignore"):  # what is not finite is refused with the weights
        scaled = (direction * (length / norm)).astype(np.float32)
    return Forwarded(Constant(scaled))


def constant_power(arguments: Arguments) -> Lowered:
    """aten.pow.Tensor_Tensor of constants."""
    base, exponent = arguments.tensor("self"), arguments.tensor("exponent")
    if isinstance(base, Activation) or isinstance(exponent, Activation):
        raise UnsupportedCase("a power that is computed")
    dtype = FLOAT32 if FLOAT32 in (base.dtype, exponent.dtype) else INT64
    check_constant(*(extent or 0 for extent in broadcast(base.shape, exponent.shape)))
    if dtype == INT64 and (exponent.array < 0).any():
        raise UnsupportedCase("a negative power of integers")
    with np.errstate(all="ignore"):  # what is not finite is refused with the weights
        power = np.power(base.array, exponent.array).astype(dtype)
    return Forwarded(Constant(power))


def roll(arguments: Arguments) -> Lowered:
    """aten.roll.default along one axis after the other."""
    shifts, dims = arguments.integers("shifts"), arguments.integers("dims")
    value = arguments.tensor("self")
    if not shifts or len(shifts) != len(dims):
        raise UnsupportedCase("a rotation over all axes")
    axes = [axis_of(dim, len(value.shape)) for dim in dims]
    if not isinstance(value, Activation):
        return Forwarded(Constant(np.roll(value.array, shifts, axes)))
    found: Activation | Computed = value
    for shift, axis in zip(shifts, axes, strict=True):
        extent = value.shape[axis]
        if extent is None:
            raise UnsupportedCase("a rotation of the samples")
        start = -shift % extent
        if start:
            found = _picked(found, value.shape, axis, [(start, 1, extent - start), (0, 1, start)])
    return found if isinstance(found, Computed) else Forwarded(value, is_copy=True)


def adaptive_average_pool1d(arguments: Arguments) -> Lowered:
    """aten.adaptive_avg_pool1d.default: a product with the matrix of shares, or a mean."""
    value, wanted = arguments.activation("self"), _only(arguments, "output_size")
    extent = value.shape[-1]
    if len(value.shape) != 3 or extent is None or wanted < 1:
        raise ArgumentError(f"it pools {show(value.shape)} to {wanted}")
    if wanted == 1:
        return Computed((ops.Reduce("mean", (2,), keep_dims=True),), (value,))
    return Computed((ops.MatMul(),), (value, Constant(shares(extent, wanted).T.copy())))


def unfold(arguments: Arguments) -> Lowered:
    """aten.im2col.default: what each place of a window sees becomes channels."""
    value = arguments.activation("self")
    kernel, dilation, padding, stride = (
        arguments.pair(name) for name in ("kernel_size", "dilation", "padding", "stride")
    )
    if len(value.shape) != 4:
        raise UnsupportedCase(f"windows of the shape {show(value.shape)}")
    if min(*kernel, *dilation, *stride) < 1 or min(padding) < 0:
        raise ArgumentError(f"it has windows of {kernel}, strides {stride} and padding {padding}")
    batch, channels, height, width = value.shape
    sizes = [(height or 1) + 2 * padding[0], (width or 1) + 2 * padding[1]]
    counts = [
        (size - step * (window - 1) - 1) // jump + 1
        for size, window, step, jump in zip(sizes, kernel, dilation, stride, strict=True)
    ]
    if min(counts) < 1:
        raise ArgumentError(f"it has windows of {kernel} in {show(value.shape)}")
    if kernel[0] * kernel[1] > _MOST_WINDOW:
        raise UnsupportedCase(f"windows of {kernel}, expected at most {_MOST_WINDOW} places")
    pads = ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2)
    padded = value if padding == (0, 0) else Computed((ops.Pad(pads),), (value,))
    parts = []
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilation[0], column * dilation[1]
            operations = (
                ops.Slice(2, top, top + (counts[0] - 1) * stride[0] + 1, stride[0]),
                ops.Slice(3, left, left + (counts[1] - 1) * stride[1] + 1, stride[1]),
                ops.Reshape((batch, channels, 1, counts[0] * counts[1])),
            )
            parts.append(Computed(operations, (padded,)))
    seen = (batch, (channels or 1) * len(parts), counts[0] * counts[1])
    return Computed((ops.Concat(2), ops.Reshape(seen)), tuple(parts))


def fold(arguments: Arguments) -> Lowered:
    """aten.col2im.default of windows that neither overlap nor leave anything out."""
    value = arguments.activation("self")
    size, kernel, stride = (
        arguments.pair(name) for name in ("output_size", "kernel_size", "stride")
    )
    is_plain = arguments.pair("padding") == (0, 0) and arguments.pair("dilation") == (1, 1)
    if len(value.shape) != 3 or kernel != stride or not is_plain or min(*kernel, *size) < 1:
        raise UnsupportedCase("windows that overlap")
    if size[0] % kernel[0] or size[1] % kernel[1]:
        raise UnsupportedCase("windows that leave something out")
    rows, columns = size[0] // kernel[0], size[1] // kernel[1]
    batch, channels = value.shape[0], (value.shape[1] or 1) // (kernel[0] * kernel[1])
    operations = (
        ops.Reshape((batch, channels, *kernel, rows, columns)),
        ops.Transpose((0, 1, 4, 2, 5, 3)),
        ops.Reshape((batch, channels, *size)),
    )
    return Computed(operations, (value,))


def reshape_as(arguments: Arguments) -> Lowered:
    """aten.reshape_as.default."""
    return Reshaped(arguments.tensor("self"), arguments.tensor("other").shape)
