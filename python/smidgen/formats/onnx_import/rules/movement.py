"""ONNX operators that move elements, join, cut and repeat them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.onnx_import.call import Call, Result, extents_as_seen, out_of_range
from smidgen.formats.onnx_import.rules.extents import product_of
from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    BatchRange,
    BatchSize,
    Constant,
    Joined,
    Tensor,
    TypeNumber,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.axis_numbers import axis_of, distinct_axes
from smidgen.graph.constant_limit import MOST_CONSTANT_ELEMENTS
from smidgen.graph.operations import BOOL, FLOAT32, INT64

_MOST_PIECES = 64
_PAD_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
"""The ways of ONNX to pad, with those of torch that are the same."""


def identity(call: Call) -> Sequence[Result]:
    """Identity."""
    return [call.operand(0)]


def reshape(call: Call) -> Sequence[Result]:
    """Reshape; 0 stands for the extent that was there."""
    value, wanted = call.value(0), call.sizes(1)
    if not call.integer("allowzero", 0):
        before = extents_as_seen(value).items
        if any(size == 0 and axis >= len(before) for axis, size in enumerate(wanted)):
            raise ArgumentError(f"it keeps extents that {len(before)} dimensions lack")
        wanted = tuple(size if size != 0 else before[axis] for axis, size in enumerate(wanted))
    return call.aten("reshape.default", self=value, shape=wanted)


def flatten(call: Call) -> Sequence[Result]:
    """Flatten into two axes."""
    value, axis = call.value(0), call.integer("axis", 1)
    extents = extents_as_seen(value).items
    if axis == 1 and len(extents) >= 2 and not isinstance(value, Joined):
        return call.aten("flatten.using_ints", self=value, start_dim=1)
    cut = axis if axis >= 0 else axis + len(extents)
    if BATCH_SIZE in extents and cut == 0:
        raise UnsupportedCase(f"flattening the samples, at axis {axis}")
    shape = (product_of(extents[:cut]), product_of(extents[cut:]))
    return call.aten("reshape.default", self=value, shape=shape)


def transpose(call: Call) -> Sequence[Result]:
    """Transpose."""
    value = call.value(0)
    rank = len(extents_as_seen(value).items)
    order = distinct_axes(call.integers("perm") or tuple(reversed(range(rank))), rank)
    return call.aten("permute.default", self=value, dims=tuple(order))


def unsqueeze(call: Call) -> Sequence[Result]:
    """Unsqueeze, of the numbers of the samples too."""
    axes = call.axes(1)
    if axes is None:
        raise ArgumentError("it has no axes")
    numbers = call.operand(0)
    value: Result
    if isinstance(numbers, BatchRange):
        value, rank = numbers, numbers.rank
    else:
        value = call.value(0)
        rank = len(extents_as_seen(value).items)
    for axis in sorted(distinct_axes(axes, rank + len(axes))):
        assert isinstance(value, Activation | Joined | Weight | Constant | BatchRange)
        (value,) = call.aten("unsqueeze.default", self=value, dim=axis)
    return [value]


def gather_elements(call: Call) -> Sequence[Result]:
    """GatherElements."""
    axis = call.integer("axis", 0)
    return call.aten("gather.default", self=call.input(0), dim=axis, index=call.input(1))


def squeeze(call: Call) -> Sequence[Result]:
    """Squeeze."""
    axes = call.axes(1)
    if axes is None:
        return call.aten("squeeze.default", self=call.input(0))
    return call.aten("squeeze.dims", self=call.value(0), dim=axes)


def concat(call: Call) -> Sequence[Result]:
    """Concat."""
    values = [call.value(index) for index in range(len(call.inputs))]
    axis = call.integer("axis")
    if any(isinstance(value, Joined) for value in values):
        return call.aten("cat.default", tensors=tuple(values), dim=axis)
    plain = [value for value in values if not isinstance(value, Joined)]
    if any(isinstance(value, Activation) for value in plain):
        origin = call.origin
        made = [call.assembly.as_activation(origin, value) for value in plain]
        return call.aten("cat.default", tensors=tuple(made), dim=axis)
    arrays = [value.array for value in plain if not isinstance(value, Activation)]
    if len({array.ndim for array in arrays}) != 1 or not arrays[0].ndim:
        raise ArgumentError("it joins tensors of other numbers of axes")
    check_size(sum(array.size for array in arrays))
    try:
        joined = np.concatenate(arrays, axis_of(axis, arrays[0].ndim))
    except ValueError as error:
        raise ArgumentError(f"its constants do not join: {error}") from None
    return [Constant(joined)]


def check_size(elements: int) -> None:
    """Refuses a large constant before it is made."""
    if elements > MOST_CONSTANT_ELEMENTS:
        raise UnsupportedCase(f"more than {MOST_CONSTANT_ELEMENTS} constant elements")


def split(call: Call) -> Sequence[Result]:
    """Split by sizes, or into as many parts as there are outputs."""
    value, axis = call.value(0), call.integer("axis", 0)
    sizes = call.integers_in(1) if call.has(1) else call.integers("split")
    if sizes is None:
        extents = extents_as_seen(value).items
        extent = extents[axis_of(axis, len(extents))]
        count = call.integer("num_outputs", call.output_count)
        if not isinstance(extent, int) or count < 1:
            raise UnsupportedCase("splitting the dynamic batch")
        size = -(-extent // count)
        return call.aten("split.Tensor", self=value, split_size=size, dim=axis)
    return call.aten("split_with_sizes.default", self=value, split_sizes=sizes, dim=axis)


def slice_(call: Call) -> Sequence[Result]:
    """Slice."""
    value, starts, ends = call.value(0), call.integers_in(1), call.integers_in(2)
    axes = call.integers_in(3) if call.has(3) else tuple(range(len(starts)))
    steps = call.integers_in(4) if call.has(4) else (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ArgumentError("it has other numbers of starts, ends, axes and steps")
    distinct_axes(axes, len(extents_as_seen(value).items))
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 0:
            value = _backwards(value, axis, start, end, step)
            continue
        numbers = {"start": start, "end": end, "step": step}
        value = call.one_value("slice.Tensor", self=value, dim=axis, **numbers)
    return [value]


def _backwards(value: Tensor | Joined, axis: int, start: int, end: int, step: int) -> Constant:
    """Returns a slice of a constant from the end to the beginning."""
    if not isinstance(value, Constant | Weight) or (
        isinstance(value, Weight) and value.is_transposed
    ):
        raise UnsupportedCase("a slice from the end to the beginning")
    axis = axis_of(axis, len(value.shape))
    extent = value.shape[axis]
    first = min(max(start + extent * (start < 0), 0), extent - 1)
    last = min(max(end + extent * (end < 0), -1), extent - 1)
    cut = slice(first, None if last < 0 else last, step)
    return Constant(value.array[(slice(None),) * axis + (cut,)])


def gather(call: Call) -> Sequence[Result]:
    """Gather: rows of a table, or elements at constant places of an axis."""
    data, indices = call.value(0), call.value(1)
    extents = extents_as_seen(data).items
    axis = axis_of(call.integer("axis", 0), len(extents))
    if isinstance(indices, Activation | Joined):
        if axis != 0 or isinstance(data, Activation | Joined):
            raise UnsupportedCase("computed indices into other than the rows of a constant")
        return call.aten("embedding.default", weight=call.assembly.as_weight(data), indices=indices)
    extent = extents[axis]
    if not isinstance(extent, int):
        raise UnsupportedCase("single samples of the dynamic batch")
    places = _places(call, extent)
    if not isinstance(data, Activation | Joined):
        check_size(places.size * (data.array.size // max(data.array.shape[axis], 1)))
        return [Constant(np.take(data.array, places, axis))]
    if places.ndim == 0:
        return call.aten("select.int", self=data, dim=axis, index=int(places))
    if places.ndim > 1:
        raise UnsupportedCase(f"indices of {places.ndim} axes")
    return [pieces(call, data, axis, [int(place) for place in places])]


def _places(call: Call, extent: int) -> NDArray[np.int64]:
    """Returns constant indices into an axis, counted from its front."""
    places = call.array(1)
    if places.dtype.name != INT64:
        raise ArgumentError(f"its indices are {places.dtype.name}, expected integers")
    beyond = places[(places < -extent) | (places >= extent)]
    if beyond.size:
        raise ArgumentError(out_of_range(int(beyond[0]), extent))
    return np.where(places < 0, places + extent, places)


def pieces(
    call: Call, data: Activation | Joined, axis: int, places: Sequence[int]
) -> Tensor | Joined:
    """Returns elements of an axis, as a concatenation of the runs among them."""
    runs = [
        [place for _, place in run]
        for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0])
    ]
    if not 0 < len(runs) <= _MOST_PIECES:
        raise UnsupportedCase(f"{len(runs)} pieces of an axis")
    parts = [
        call.one_value("slice.Tensor", self=data, dim=axis, start=run[0], end=run[-1] + 1)
        for run in runs
    ]
    if len(parts) == 1:
        return parts[0]
    return call.one_value("cat.default", tensors=tuple(parts), dim=axis)


def expand(call: Call) -> Sequence[Result]:
    """Expand: an extent of 1 keeps the one that is there."""
    value, wanted = call.value(0), call.sizes(1)
    shape = extents_as_seen(value).items
    missing = max(len(shape) - len(wanted), 0)
    sizes = [1] * missing + list(wanted)
    kept = [1] * (len(sizes) - len(shape)) + list(shape)
    target = tuple(
        (-1 if index >= len(sizes) - len(shape) else 1) if size in (1, found) else size
        for index, (size, found) in enumerate(zip(sizes, kept, strict=True))
    )
    return call.aten("expand.default", self=value, size=target)


def triangle(call: Call) -> Sequence[Result]:
    """Trilu of a constant, as masks are made of."""
    diagonal = call.one_integer_in(1) if call.has(1) else 0
    part = "triu.default" if call.integer("upper", 1) else "tril.default"
    return call.aten(part, self=call.input(0), diagonal=diagonal)


def tile(call: Call) -> Sequence[Result]:
    """Tile by constant numbers, or of a constant by the batch size."""
    repeats = call.sizes(1)
    value = call.input(0)
    if len(repeats) != len(value.shape):
        raise ArgumentError(f"it repeats {len(value.shape)} axes by {len(repeats)} numbers")
    if not isinstance(value, Activation) and BATCH_SIZE in repeats[1:]:
        return call.aten("repeat.default", self=value, repeats=repeats)
    for axis, count in enumerate(repeats):
        if count == 1:
            continue
        if value.shape[axis] == 1:
            size = tuple(count if index == axis else -1 for index in range(len(value.shape)))
            value = call.one("expand.default", self=value, size=size)
            continue
        if not isinstance(count, int) or not 1 <= count <= _MOST_PIECES:
            raise UnsupportedCase(f"{count} repetitions of an axis")
        if not isinstance(value, Activation):
            check_size(value.array.size * count)
            value = Constant(np.concatenate([value.array] * count, axis))
            continue
        value = call.one("cat.default", tensors=(value,) * count, dim=axis)
    return [value]


def pad(call: Call) -> Sequence[Result]:
    """Pad, with one number or with elements of the tensor itself."""
    value, amounts = call.input(0), call.integers_in(1)
    mode = call.text("mode", "constant")
    if mode not in _PAD_MODES:
        raise UnsupportedCase(f"the padding {mode[:32]}")
    rank = len(value.shape)
    axes = call.integers_in(3) if call.has(3) else tuple(range(rank))
    if len(amounts) != 2 * len(axes):
        raise ArgumentError(f"it pads {len(axes)} axes by {len(amounts)} numbers")
    number = call.number_in(2) if call.has(2) else 0.0
    pairs = {
        axis: (amounts[index], amounts[index + len(axes)])
        for index, axis in enumerate(distinct_axes(axes, rank))
    }
    backwards = [n for axis in reversed(range(rank)) for n in pairs.get(axis, (0, 0))]
    if not any(backwards):
        return [value]
    # Axes in front that are not padded need no mention, the batch among them.
    while backwards[-2:] == [0, 0]:
        del backwards[-2:]
    pads = {"self": value, "pad": tuple(backwards)}
    if mode == "constant":
        return call.aten("constant_pad_nd.default", **pads, value=number)
    return call.aten("pad.default", **pads, mode=_PAD_MODES[mode])


def depth_to_space(call: Call) -> Sequence[Result]:
    """DepthToSpace: channels become rows and columns."""
    value, block = call.input(0), call.integer("blocksize")
    if call.text("mode", "DCR") == "CRD":
        return call.aten("pixel_shuffle.default", self=value, upscale_factor=block)
    batch, channels, height, width = _image(value)
    if block < 1 or channels % (block * block):
        raise ArgumentError(f"it moves {channels} channels into blocks of {block}")
    outs = channels // (block * block)
    shape = (batch, block, block, outs, height, width)
    cut = call.one("reshape.default", self=value, shape=shape)
    moved = call.one("permute.default", self=cut, dims=(0, 3, 4, 1, 5, 2))
    return call.aten(
        "reshape.default", self=moved, shape=(batch, outs, height * block, width * block)
    )


def space_to_depth(call: Call) -> Sequence[Result]:
    """SpaceToDepth: rows and columns become channels, those of a place together."""
    value, block = call.input(0), call.integer("blocksize")
    batch, channels, height, width = _image(value)
    if block < 1 or height % block or width % block:
        raise ArgumentError(f"it moves blocks of {block} of {height} x {width} pixels")
    shape = (batch, channels, height // block, block, width // block, block)
    cut = call.one("reshape.default", self=value, shape=shape)
    moved = call.one("permute.default", self=cut, dims=(0, 3, 5, 1, 2, 4))
    outs = channels * block * block
    return call.aten(
        "reshape.default", self=moved, shape=(batch, outs, height // block, width // block)
    )


def _image(value: Tensor) -> tuple[int | BatchSize, int, int, int]:
    if len(value.shape) != 4:
        raise ArgumentError(f"it has {len(value.shape)} axes, expected images")
    batch, channels, height, width = value.shape
    first = BatchSize.BATCH_SIZE if batch is None else batch
    return first, channels or 1, height or 1, width or 1


def constant_of_shape(call: Call) -> Sequence[Result]:
    """ConstantOfShape of a shape whose first extent may be the batch size."""
    sizes = call.sizes(0)
    extents = [size for size in sizes if isinstance(size, int)]
    if math.prod(extents) > MOST_CONSTANT_ELEMENTS:
        raise UnsupportedCase(f"more than {MOST_CONSTANT_ELEMENTS} constant elements")
    if min(extents, default=0) < 0:
        raise ArgumentError(f"it fills the shape {extents}")
    value = call.tensor_attribute("value")
    number = np.float32(0) if value is None else value.reshape(-1)
    if np.size(number) != 1:
        raise ArgumentError("it fills with other than one number")
    dtype = np.asarray(number).dtype
    wanted = INT64 if dtype.kind in "iu" else BOOL if dtype.kind == "b" else FLOAT32
    if len(extents) != len(sizes):
        number = np.asarray(number).reshape(()).item()
        named = TypeNumber("scalar_type", wanted)
        return call.aten("full.default", size=sizes, fill_value=float(number), dtype=named)
    return [Constant(np.full(extents, np.asarray(number).reshape(()), wanted))]
