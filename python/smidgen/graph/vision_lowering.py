"""What calls of the ATen operators mean that vision nets brought: see vision_operators.

Needs no torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    MAX_EXTENT,
    Activation,
    ArgumentError,
    Arguments,
    Constant,
    PoolIndices,
    Tensor,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.axis_numbers import axis_of
from smidgen.graph.constant_limit import check_constant
from smidgen.graph.elementwise_lowering import operand_pair
from smidgen.graph.layer_lowering import conv2d
from smidgen.graph.lowered import Computed, Forwarded, Lowered, Several
from smidgen.graph.operations import OpKind
from smidgen.graph.sequence_lowering import extended
from smidgen.graph.shapes import show

_MOST_PARTS = 4096


def unary(kind: OpKind, arguments: Arguments) -> Lowered:
    """A function of one number without parameters."""
    return Computed((ops.Unary(kind),), (arguments.tensor("self"),))


def softplus(arguments: Arguments) -> Lowered:
    """aten.softplus.default; beyond a threshold of 20 it is the input, to float32."""
    if arguments.number("beta") != 1 or arguments.number("threshold") != 20:
        raise UnsupportedCase("a softplus with another beta than 1 or threshold than 20")
    return unary(OpKind.SOFTPLUS, arguments)


def power(arguments: Arguments) -> Lowered:
    """aten.pow.Tensor_Scalar; the most frequent powers have functions of their own."""
    exponent, value = arguments.number("exponent"), arguments.tensor("self")
    if exponent == 1:
        return Forwarded(value, is_copy=True)
    if exponent == 2:
        return square(arguments)
    kind = {0.5: OpKind.SQRT, -0.5: OpKind.RSQRT, -1: OpKind.RECIPROCAL}.get(exponent)
    operation = ops.Pow(exponent) if kind is None else ops.Unary(kind)
    return Computed((operation,), (value,))


def square(arguments: Arguments) -> Lowered:
    """aten.square.default."""
    value = arguments.tensor("self")
    return Computed((ops.Multiply(),), (value, value))


def binary(kind: OpKind, arguments: Arguments) -> Lowered:
    """A function of two numbers."""
    return Computed((ops.Binary(kind),), operand_pair(arguments))


def convolution(arguments: Arguments) -> Lowered:
    """aten.convolution.default."""
    is_transposed = arguments.flag("transposed")
    return conv_transpose2d(arguments) if is_transposed else conv2d(arguments)


def conv_transpose2d(arguments: Arguments) -> Lowered:
    """aten.conv_transpose2d.input."""
    operation = ops.ConvTranspose2d(
        arguments.plain_weight("weight"),
        arguments.optional_weight("bias"),
        arguments.pair("stride"),
        arguments.pair("padding"),
        arguments.pair("output_padding"),
        arguments.pair("dilation"),
        arguments.integer("groups"),
    )
    return Computed((operation,), (arguments.activation("input"),))


def resize(mode: str, arguments: Arguments) -> Lowered:
    """aten.upsample_nearest2d, aten._upsample_nearest_exact2d and aten.upsample_bilinear2d."""
    name = "self" if "self" in arguments else "input"
    value = arguments.tensor(name)
    if len(value.shape) != 4:
        raise ArgumentError(f"it resizes the shape {show(value.shape)}")
    scales = _scales(arguments)
    aligns = "align_corners" in arguments and arguments.flag("align_corners")
    if arguments["output_size"] is None:
        if scales is None:
            raise ArgumentError("it has neither a size nor scales")
        height, width = (
            int((extent or 1) * scale)
            for extent, scale in zip(value.shape[2:], scales, strict=True)
        )
    else:
        height, width = _size(arguments)
    if not isinstance(value, Activation):
        if mode != "bilinear":
            raise UnsupportedCase("a constant resized by other than bilinear interpolation")
        return Forwarded(_resized(value, (height, width), scales, aligns_corners=aligns))
    operation = ops.Resize(mode, (height, width), scales, aligns)
    return Computed((operation,), (value,))


def _resized(
    value: Weight | Constant,
    size: ops.Pair,
    scales: tuple[float, float] | None,
    *,
    aligns_corners: bool,
) -> Constant:
    """Resizes a constant image, such as a table of positions."""
    if min(*value.shape, *size) < 1:
        raise ArgumentError(f"it resizes the shape {show(value.shape)} to {size}")
    check_constant(*value.shape[:2], size[0], max(size[1], value.shape[3]))
    rows, columns = (
        _interpolation(extent, count, scale, aligns_corners=aligns_corners)
        for extent, count, scale in zip(value.shape[2:], size, scales or (None, None), strict=True)
    )
    return Constant((rows @ value.array.astype(np.float64) @ columns.T).astype(np.float32))


def _interpolation(
    extent: int, count: int, scale: float | None, *, aligns_corners: bool
) -> NDArray[np.float64]:
    """Returns the matrix [count, extent] of linear interpolation."""
    check_constant(count, extent)
    places = np.arange(count)
    if aligns_corners:
        sources = places * ((extent - 1) / max(count - 1, 1))
    else:
        step = 1 / scale if scale else extent / count
        sources = np.clip((places + 0.5) * step - 0.5, 0.0, extent - 1.0)
    low = np.minimum(sources.astype(np.int64), extent - 1)
    high = np.minimum(low + 1, extent - 1)
    matrix = np.zeros((count, extent))
    np.add.at(matrix, (places, low), 1 - (sources - low))
    np.add.at(matrix, (places, high), sources - low)
    return matrix


def _size(arguments: Arguments) -> ops.Pair:
    sizes = arguments.sizes("output_size")
    extents = [size for size in sizes if isinstance(size, int)]
    if len(extents) != 2 or len(sizes) != 2:
        raise UnsupportedCase("an image size that depends on the batch")
    return extents[0], extents[1]


def _scales(arguments: Arguments) -> tuple[float, float] | None:
    if "scales_h" in arguments:
        vertical, horizontal = (arguments.optional_number(f"scales_{axis}") for axis in "hw")
        if vertical is None or horizontal is None:
            return None
        return _checked_scales((vertical, horizontal))
    if arguments["scale_factors"] is None:
        return None
    scales = arguments.numbers("scale_factors")
    return _checked_scales(scales)


def _checked_scales(scales: Sequence[float]) -> tuple[float, float]:
    if len(scales) != 2 or min(scales) <= 0 or max(scales) > MAX_EXTENT:
        raise ArgumentError(f"it has the scales {tuple(scales)}")
    return scales[0], scales[1]


def max_unpool(arguments: Arguments) -> Lowered:
    """aten.max_unpool2d.default of windows side by side: each value where its greatest one stood.

    The first of several greatest elements of a window counts, as in the pool.
    """
    value, indices = arguments.activation("self"), arguments["indices"]
    if not isinstance(indices, PoolIndices) or indices.window is None:
        raise UnsupportedCase("indices other than those of a pool of windows side by side")
    source, (rows, columns) = indices.source, indices.window
    if len(value.shape) != 4 or len(source.shape) != 4:
        raise UnsupportedCase(f"an unpooling of the shape {show(value.shape)}")
    batch, channels, height, width = value.shape
    size = ((height or 1) * rows, (width or 1) * columns)
    if source.shape != (batch, channels, *size) or arguments.pair("output_size") != size:
        found = f"{show(source.shape)} pooled to {show(value.shape)}"
        raise UnsupportedCase(f"windows that do not fill the images: {found}")
    if rows * columns > _MOST_PARTS:
        raise UnsupportedCase(f"windows of {rows} x {columns}")
    windows = (
        ops.Reshape((batch, channels, height, rows, width, columns)),
        ops.Transpose((0, 1, 2, 4, 3, 5)),
        ops.Reshape((batch, channels, height, width, rows * columns)),
    )
    first = Computed((*windows, ops.Reduce("argmax", (4,), keep_dims=True)), (source,))
    places = Constant(np.arange(rows * columns, dtype=np.int64))
    is_first = Computed((ops.Compare("eq"),), (first, places))
    spread = Computed((ops.Reshape((batch, channels, height, width, 1)),), (value,))
    images = (
        ops.Where(),
        ops.Reshape((batch, channels, height, width, rows, columns)),
        ops.Transpose((0, 1, 2, 4, 3, 5)),
        ops.Reshape((batch, channels, *size)),
    )
    return Computed(images, (is_first, spread, Constant(np.array(0.0, np.float32))))


def argmax(arguments: Arguments) -> Lowered:
    """aten.argmax.default along one axis."""
    value = arguments.activation("self")
    if arguments["dim"] is None:
        raise UnsupportedCase("an argmax over all axes")
    axis = _inner_axis(arguments, value)
    operation = ops.Reduce("argmax", (axis,), arguments.flag("keepdim"))
    return Computed((operation,), (value,))


def log_softmax(arguments: Arguments) -> Lowered:
    """aten.log_softmax.int and aten._log_softmax.default."""
    value = arguments.activation("self")
    return Computed((ops.LogSoftmax(_inner_axis(arguments, value)),), (value,))


def _inner_axis(arguments: Arguments, value: Activation) -> int:
    """Returns the axis of an operator that samples must not share."""
    axis = axis_of(arguments.integer("dim"), len(value.shape))
    if value.shape[axis] is None:
        raise UnsupportedCase("an axis of the samples")
    return axis


def group_norm(arguments: Arguments) -> Lowered:
    """aten.group_norm.default."""
    return _group_norm(arguments, arguments.integer("num_groups"))


def instance_norm(arguments: Arguments) -> Lowered:
    """aten.instance_norm.default by the statistics of the input: a group for each channel."""
    shape = arguments.activation("input").shape
    if not arguments.flag("use_input_stats"):
        raise UnsupportedCase("an instance normalization by running statistics")
    return _group_norm(arguments, (shape[1] if len(shape) > 1 else None) or 1)


def _group_norm(arguments: Arguments, groups: int) -> Lowered:
    eps = arguments.number("eps")
    if eps < 0:
        raise ArgumentError(f"it has eps {eps}")
    operation = ops.GroupNorm(
        groups, arguments.optional_weight("weight"), arguments.optional_weight("bias"), eps
    )
    return Computed((operation,), (arguments.activation("input"),))


def prelu(arguments: Arguments) -> Lowered:
    """aten.prelu.default."""
    operation = ops.PRelu(arguments.plain_weight("weight"))
    return Computed((operation,), (arguments.activation("self"),))


def adaptive_max_pool(arguments: Arguments) -> Lowered:
    """aten.adaptive_max_pool2d.default, for output sizes that divide the input evenly."""
    value, wanted = arguments.activation("self"), arguments.pair("output_size")
    if len(value.shape) != 4 or min(wanted) < 1:
        raise ArgumentError(f"it has output size {wanted} for the shape {show(value.shape)}")
    sizes = [size or 1 for size in value.shape[2:]]
    if any(size % parts for size, parts in zip(sizes, wanted, strict=True)):
        raise UnsupportedCase(f"output size {wanted}, which does not divide {sizes} evenly")
    kernel = (sizes[0] // wanted[0], sizes[1] // wanted[1])
    return Computed((ops.MaxPool(kernel, kernel),), (value,), statistics=(None,))


def pad(arguments: Arguments) -> Lowered:
    """aten.pad.default and aten.constant_pad_nd.default."""
    value, amounts = arguments.activation("self"), arguments.integers("pad")
    if len(amounts) % 2 or len(amounts) > 2 * len(value.shape):
        raise ArgumentError(f"it pads by {amounts}")
    if min(amounts, default=0) < 0:
        raise UnsupportedCase("a padding that cuts off")
    pairs = [(amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)]
    pads = [(0, 0)] * (len(value.shape) - len(pairs)) + pairs[::-1]
    number = 0.0 if arguments["value"] is None else arguments.number("value")
    if value.shape[:1] == (None,) and pads[0] != (0, 0):
        raise UnsupportedCase("a padding of the dynamic batch")
    mode = "constant"
    if "mode" in arguments:
        mode = str(arguments["mode"])
    if mode in ("reflect", "replicate", "circular"):
        return extended(value, pads, mode)
    if mode != "constant":
        raise UnsupportedCase(f"the padding {mode}")
    return Computed((ops.Pad(tuple(pads), number),), (value,))


def pixel_shuffle(arguments: Arguments) -> Lowered:
    """aten.pixel_shuffle.default: channels become rows and columns."""
    value, factor = arguments.activation("self"), arguments.integer("upscale_factor")
    batch, channels, height, width = _image(value)
    if factor < 1 or channels % (factor * factor):
        raise ArgumentError(f"it shuffles {channels} channels by {factor}")
    outs = channels // (factor * factor)
    operations = (
        ops.Reshape((batch, outs, factor, factor, height, width)),
        ops.Transpose((0, 1, 4, 2, 5, 3)),
        ops.Reshape((batch, outs, height * factor, width * factor)),
    )
    return Computed(operations, (value,))


def pixel_unshuffle(arguments: Arguments) -> Lowered:
    """aten.pixel_unshuffle.default: rows and columns become channels."""
    value, factor = arguments.activation("self"), arguments.integer("downscale_factor")
    batch, channels, height, width = _image(value)
    if factor < 1 or height % factor or width % factor:
        raise ArgumentError(f"it shuffles {height} x {width} pixels by {factor}")
    operations = (
        ops.Reshape((batch, channels, height // factor, factor, width // factor, factor)),
        ops.Transpose((0, 1, 3, 5, 2, 4)),
        ops.Reshape((batch, channels * factor * factor, height // factor, width // factor)),
    )
    return Computed(operations, (value,))


def channel_shuffle(arguments: Arguments) -> Lowered:
    """aten.channel_shuffle.default: groups and the channels in them change places."""
    value, groups = arguments.activation("self"), arguments.integer("groups")
    batch, channels, height, width = _image(value)
    if groups < 1 or channels % groups:
        raise ArgumentError(f"it shuffles {channels} channels in {groups} groups")
    operations = (
        ops.Reshape((batch, groups, channels // groups, height, width)),
        ops.Transpose((0, 2, 1, 3, 4)),
        ops.Reshape((batch, channels, height, width)),
    )
    return Computed(operations, (value,))


def _image(value: Activation) -> tuple[int | None, int, int, int]:
    if len(value.shape) != 4:
        raise UnsupportedCase(f"the shape {show(value.shape)}, not that of images")
    batch, channels, height, width = value.shape
    return batch, channels or 1, height or 1, width or 1


def split(sizes: str, arguments: Arguments) -> Lowered:
    """aten.split.Tensor and aten.split_with_sizes.default."""
    value, axis, extent = _split_axis(arguments)
    wanted = arguments.integers(sizes)
    if sizes == "split_size":
        if wanted[0] < 1:
            raise ArgumentError(f"it splits into parts of {wanted[0]}")
        wanted = _parts(extent, -(-extent // wanted[0]), wanted[0])
    if sum(wanted) != extent or min(wanted) < 1:
        raise ArgumentError(f"it splits {extent} into {wanted}")
    return _slices(value, axis, wanted)


def chunk(arguments: Arguments) -> Lowered:
    """aten.chunk.default."""
    value, axis, extent = _split_axis(arguments)
    count = arguments.integer("chunks")
    if count < 1:
        raise ArgumentError(f"it has {count} chunks")
    return _slices(value, axis, _parts(extent, count, -(-extent // count)))


def unbind(arguments: Arguments) -> Lowered:
    """aten.unbind.int: each element of an axis."""
    value, axis, extent = _split_axis(arguments)
    _check_part_count(extent)
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    return Several(
        tuple(
            Computed((ops.Slice(axis, at, at + 1), ops.Reshape(shape)), (value,), is_part=True)
            for at in range(extent)
        )
    )


def narrow(arguments: Arguments) -> Lowered:
    """aten.narrow.default."""
    value, axis, extent = _split_axis(arguments)
    start, length = arguments.integer("start"), arguments.integer("length")
    start = start + extent if start < 0 else start
    if not 0 <= start <= start + length <= extent or length < 1:
        raise ArgumentError(f"it takes {length} of {extent} from {start} on")
    return Computed((ops.Slice(axis, start, start + length),), (value,), shares_storage=True)


def stack(arguments: Arguments) -> Lowered:
    """aten.stack.default: a concatenation along a new axis."""
    values = arguments.activations("tensors")
    shape = values[0].shape
    axis = axis_of(arguments.integer("dim"), len(shape) + 1)
    if axis == 0 and shape[:1] == (None,):
        raise UnsupportedCase("an axis before the dynamic batch")
    parts = tuple(
        Computed((ops.Reshape((*value.shape[:axis], 1, *value.shape[axis:])),), (value,))
        for value in values
    )
    return Computed((ops.Concat(axis),), parts)


def _split_axis(arguments: Arguments) -> tuple[Tensor, int, int]:
    value = arguments.tensor("self")
    axis = axis_of(arguments.integer("dim"), len(value.shape))
    extent = value.shape[axis]
    if extent is None:
        raise UnsupportedCase("splitting the dynamic batch")
    return value, axis, extent


def _check_part_count(count: int) -> None:
    if count > _MOST_PARTS:
        raise UnsupportedCase(f"splitting into {count} parts")


def _parts(extent: int, count: int, size: int) -> tuple[int, ...]:
    _check_part_count(min(count, extent))
    return tuple(min(size, extent - start) for start in range(0, extent, size))


def _slices(value: Tensor, axis: int, sizes: Sequence[int]) -> Several:
    ends = list(itertools.accumulate(sizes))
    return Several(
        tuple(
            Computed((ops.Slice(axis, end - size, end),), (value,), is_part=True)
            for size, end in zip(sizes, ends, strict=True)
        )
    )
