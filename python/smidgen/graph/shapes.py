"""The shape rules: the shape that each operation gives for the shapes it reads. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch
from math import prod

from smidgen.graph.operations import (
    Add,
    AveragePool,
    BatchNorm,
    Binary,
    Compare,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    Expand,
    Flatten,
    GlobalAveragePool,
    GroupNorm,
    LayerNorm,
    Linear,
    MatMul,
    MaxPool,
    Multiply,
    Operation,
    Pad,
    Pair,
    PRelu,
    Reduce,
    Reshape,
    Resize,
    ScaledDotProductAttention,
    Shape,
    Slice,
    Transpose,
    Where,
    weight_names,
)

WeightShapes = Mapping[str, tuple[int, ...]]
_MAX_EXTENT = (1 << 31) - 1


class ShapeError(ValueError):
    """An operation cannot read what it is given."""


def infer_shape(operation: Operation, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    """Returns the shape that an operation gives.

    Args:
        operation: The operation.
        inputs: Shapes of the values that it reads.
        weights: Shapes of the weights by name.

    Raises:
        ShapeError: The operation cannot read such values.
    """
    shape = _rule(operation, inputs, weights)
    if any(extent is not None and extent < 0 for extent in shape):
        raise ShapeError(f"an operation gives the shape {show(shape)}")
    return shape


def element_count(shape: Shape) -> int:
    """Returns the number of elements of one sample, or of all if the batch size is fixed."""
    return prod(extent for extent in shape if extent is not None)


@singledispatch
def _rule(operation: object, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    """The rule of functions of each element: nothing changes."""
    return inputs[0]


@_rule.register
def _(operation: Conv2d, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    batch, channels, height, width = _image(inputs[0])
    weight = weights[operation.weight]
    if len(weight) != 4 or min(weight) < 1:
        raise ShapeError(f"a convolution has a weight of shape {list(weight)}")
    groups = operation.groups
    if groups < 1 or channels % groups or weight[0] % groups or weight[1] * groups != channels:
        raise ShapeError(
            f"a convolution with {groups} groups and a weight of shape {list(weight)} "
            f"reads {channels} channels"
        )
    _check_vector("bias", operation.bias, weight[0], weights)
    geometry = (operation.stride, operation.padding, operation.dilation)
    height, width = _windows((height, width), (weight[2], weight[3]), *geometry)
    return (batch, weight[0], height, width)


@_rule.register
def _(operation: ConvTranspose2d, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    batch, channels, *size = _image(inputs[0])
    weight, groups = weights[operation.weight], operation.groups
    if len(weight) != 4 or min(weight) < 1 or weight[0] != channels:
        raise ShapeError(
            f"a transposed convolution with a weight of shape {list(weight)} reads {channels} "
            "channels"
        )
    if groups < 1 or channels % groups:
        raise ShapeError(f"a transposed convolution of {channels} channels has {groups} groups")
    _check_vector("bias", operation.bias, weight[1] * groups, weights)
    height, width = (
        _stretched(extent, weight[axis + 2], operation, axis) for axis, extent in enumerate(size)
    )
    return (batch, weight[1] * groups, height, width)


def _stretched(extent: int, kernel: int, operation: ConvTranspose2d, axis: int) -> int:
    stride, dilation = operation.stride[axis], operation.dilation[axis]
    padding, extra = operation.padding[axis], operation.output_padding[axis]
    if min(stride, dilation) < 1 or padding < 0 or not 0 <= extra < max(stride, dilation):
        raise ShapeError(
            f"a transposed convolution has stride {stride}, dilation {dilation}, padding {padding} "
            f"and output padding {extra}"
        )
    found = (extent - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
    if found < 1:
        raise ShapeError(f"a transposed convolution leaves nothing of {extent} elements")
    return _bounded(found)


@_rule.register
def _(operation: Pad, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape, pads = inputs[0], operation.pads
    if len(pads) != len(shape) or any(min(pair) < 0 for pair in pads):
        raise ShapeError(f"the shape {show(shape)} is padded by {pads}")
    if shape[0] is None and pads[0] != (0, 0):
        raise ShapeError("the batch is padded")
    return tuple(
        None if extent is None else _bounded(extent + sum(pair))
        for extent, pair in zip(shape, pads, strict=True)
    )


@_rule.register
def _(operation: PRelu, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape = inputs[0]
    channels = shape[1] if len(shape) > 1 else 1
    if weights[operation.weight] not in ((1,), (channels,)):
        raise ShapeError(f"a PReLU has {list(weights[operation.weight])} slopes")
    return shape


@_rule.register
def _(operation: GroupNorm, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape = inputs[0]
    channels = shape[1] if len(shape) > 1 else None
    if channels is None or operation.groups < 1 or channels % operation.groups:
        raise ShapeError(f"a group norm of {operation.groups} groups reads {show(shape)}")
    for name in weight_names(operation):
        _check_vector("group norm's weight", name, channels, weights)
    return shape


@_rule.register
def _(operation: Resize, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    batch, channels, _, _ = _image(inputs[0])
    if min(operation.size) < 1:
        raise ShapeError(f"an image is resized to {operation.size}")
    return (batch, channels, *map(_bounded, operation.size))


@_rule.register
def _(operation: Linear, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    weight = weights[operation.weight]
    if len(weight) != 2 or min(weight) < 1:
        raise ShapeError(f"a linear operator has a weight of shape {list(weight)}")
    outputs, features = reversed(weight) if operation.is_transposed else weight
    shape = inputs[0]
    if len(shape) < 2 or shape[-1] != features:
        raise ShapeError(f"a linear operator of {features} features reads the shape {show(shape)}")
    _check_vector("bias", operation.bias, outputs, weights)
    return (*shape[:-1], outputs)


@_rule.register
def _(operation: BatchNorm, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape = inputs[0]
    ranks, axis = ((3,), -1) if operation.channels_last else ((2, 4), 1)
    if len(shape) not in ranks or (channels := shape[axis]) is None:
        raise ShapeError(f"a batch normalization reads the shape {show(shape)}")
    for name in weight_names(operation):
        _check_vector("batch normalization's weight", name, channels, weights)
    return shape


@_rule.register
def _(
    operation: Add | Multiply | Binary | Compare | Where,
    inputs: Sequence[Shape],
    weights: WeightShapes,
) -> Shape:
    return broadcast(*inputs)


@_rule.register
def _(operation: Concat, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    first, axis = inputs[0], operation.axis
    if not 0 <= axis < len(first):
        raise ShapeError(f"a concatenation of the shape {show(first)} is along axis {axis}")
    if any(
        len(shape) != len(first)
        or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]
        for shape in inputs
    ):
        raise ShapeError(f"a concatenation reads the shapes {', '.join(map(show, inputs))}")
    extents = [shape[axis] for shape in inputs]
    known = [extent for extent in extents if extent is not None]
    if len(known) != len(extents):
        raise ShapeError("a concatenation is along the batch")
    return (*first[:axis], _bounded(sum(known)), *first[axis + 1 :])


@_rule.register
def _(operation: MaxPool, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    return _pool(inputs[0], operation, operation.dilation)


@_rule.register
def _(operation: AveragePool, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    return _pool(inputs[0], operation, (1, 1))


@_rule.register
def _(operation: GlobalAveragePool, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    batch, channels, _, _ = _image(inputs[0])
    return (batch, channels, 1, 1)


@_rule.register
def _(operation: Flatten, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape = inputs[0]
    return (shape[0], _bounded(element_count(shape[1:])))


@_rule.register
def _(operation: Reshape, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    before, after = inputs[0], operation.shape
    if before.count(None) != after.count(None) or element_count(before) != element_count(after):
        raise ShapeError(f"the shape {show(before)} is reshaped to {show(after)}")
    return after


@_rule.register
def _(operation: Constant, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    return weights[operation.name]


@_rule.register
def _(operation: Embedding, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    table = weights[operation.weight]
    if len(table) != 2 or min(table) < 1:
        raise ShapeError(f"an embedding has a table of shape {list(table)}")
    return (*inputs[0], table[1])


@_rule.register
def _(operation: LayerNorm, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape = inputs[0]
    if len(shape) < 2 or shape[-1] is None:
        raise ShapeError(f"a layer normalization reads the shape {show(shape)}")
    for name in weight_names(operation):
        _check_vector("layer normalization's weight", name, shape[-1], weights)
    return shape


@_rule.register
def _(
    operation: ScaledDotProductAttention, inputs: Sequence[Shape], weights: WeightShapes
) -> Shape:
    query, key, value = inputs[:3]
    if not all(len(shape) == 4 for shape in (query, key, value)):
        raise ShapeError("an attention reads other than four axes")
    batches = {shape[:2] for shape in (query, key, value)}
    if len(batches) != 1 or query[3] != key[3] or key[2] != value[2]:
        shown = ", ".join(map(show, inputs))
        raise ShapeError(f"an attention reads the shapes {shown}")
    scores = (*query[:3], key[2])
    if len(inputs) == 4 and broadcast(inputs[3], scores) != scores:
        raise ShapeError(f"an attention has scores {show(scores)} and a mask {show(inputs[3])}")
    return (*query[:3], value[3])


@_rule.register
def _(operation: MatMul, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    lhs, rhs = inputs
    if min(len(lhs), len(rhs)) < 2 or lhs[-1] is None or lhs[-1] != rhs[-2]:
        raise ShapeError(f"a product of the shapes {show(lhs)} and {show(rhs)}")
    return (*broadcast(lhs[:-2], rhs[:-2]), lhs[-2], rhs[-1])


@_rule.register
def _(operation: Reduce, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape, axes = inputs[0], operation.axes
    if not axes or not all(0 < axis < len(shape) for axis in axes):
        raise ShapeError(f"a reduction of the shape {show(shape)} is over the axes {axes}")
    if operation.keep_dims:
        return tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


@_rule.register
def _(operation: Transpose, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape = inputs[0]
    if sorted(operation.permutation) != list(range(len(shape))):
        raise ShapeError(f"the shape {show(shape)} is permuted by {operation.permutation}")
    return tuple(shape[axis] for axis in operation.permutation)


@_rule.register
def _(operation: Slice, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    shape, axis = inputs[0], operation.axis
    extent = shape[axis] if 0 <= axis < len(shape) else None
    if extent is None or not 0 <= operation.start < operation.stop <= extent or operation.step < 1:
        raise ShapeError(f"a slice of the shape {show(shape)} along axis {axis}")
    count = -(-(operation.stop - operation.start) // operation.step)
    return (*shape[:axis], count, *shape[axis + 1 :])


@_rule.register
def _(operation: Expand, inputs: Sequence[Shape], weights: WeightShapes) -> Shape:
    if broadcast(inputs[0], operation.shape) != operation.shape:
        raise ShapeError(f"{show(inputs[0])} is expanded to {show(operation.shape)}")
    return operation.shape


def broadcast(*shapes: Shape) -> Shape:
    """Returns the shape that values of these shapes broadcast to.

    Raises:
        ShapeError: They do not broadcast.
    """
    rank = max(map(len, shapes))
    padded = [(*(1,) * (rank - len(shape)), *shape) for shape in shapes]
    result: list[int | None] = []
    for extents in zip(*padded, strict=True):
        larger = {extent for extent in extents if extent != 1}
        if len(larger) > 1:
            raise ShapeError(f"the shapes {', '.join(map(show, shapes))} do not broadcast")
        result.append(larger.pop() if larger else 1)
    return tuple(result)


def show(shape: Shape) -> str:
    """Returns a shape for people, with ? for the batch size."""
    return "[" + ", ".join("?" if extent is None else str(extent) for extent in shape) + "]"


def _bounded(extent: int) -> int:
    if extent > _MAX_EXTENT:
        raise ShapeError(f"an extent is {extent}, more than {_MAX_EXTENT}")
    return extent


def _image(shape: Shape) -> tuple[int | None, int, int, int]:
    if len(shape) != 4:
        raise ShapeError(f"an operator on images reads the shape {show(shape)}")
    batch, channels, height, width = shape
    if channels is None or height is None or width is None:
        raise ShapeError(f"an operator on images reads the shape {show(shape)}")
    return batch, channels, height, width


def _check_vector(role: str, name: str | None, length: int, weights: WeightShapes) -> None:
    if name is not None and weights[name] != (length,):
        raise ShapeError(f"a {role} has the shape {list(weights[name])}, expected [{length}]")


def _windows(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Returns how many windows fit vertically and horizontally."""
    first, second = (
        _window_count(*numbers)
        for numbers in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    return first, second


def _window_count(
    size: int, kernel: int, stride: int, padding: int, dilation: int, *, ceil_mode: bool = False
) -> int:
    numbers = (kernel, stride, padding, dilation)
    if min(kernel, stride, dilation) < 1 or padding < 0 or max(numbers) > _MAX_EXTENT:
        raise ShapeError(
            f"a window has kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}"
        )
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if room < 0:
        raise ShapeError(
            f"a window of {kernel} with padding {padding} does not fit {size} elements"
        )
    count = room // stride + 1
    # With ceil_mode a last partial window counts if it starts before the trailing padding.
    if ceil_mode and room % stride and count * stride < size + padding:
        count += 1
    return _bounded(count)


def _pool(shape: Shape, operation: MaxPool | AveragePool, dilation: Pair) -> Shape:
    batch, channels, height, width = _image(shape)
    if any(
        2 * pad > kernel for pad, kernel in zip(operation.padding, operation.kernel, strict=True)
    ):
        raise ShapeError(
            f"a pool has padding {operation.padding}, more than half its kernel {operation.kernel}"
        )
    geometry = zip(
        (height, width),
        operation.kernel,
        operation.stride,
        operation.padding,
        dilation,
        strict=True,
    )
    height, width = (_window_count(*numbers, ceil_mode=operation.ceil_mode) for numbers in geometry)
    return (batch, channels, height, width)
