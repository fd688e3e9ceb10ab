"""Calls that change the shape of a value, the order of its axes, or join values. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    Arguments,
    BatchRange,
    BatchSize,
    Constant,
    Tensor,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.axis_numbers import axis_of, named_axes
from smidgen.graph.lowered import Computed, Forwarded, Lowered, Reshaped
from smidgen.graph.operations import Shape
from smidgen.graph.shapes import element_count, show


def concat(arguments: Arguments) -> Lowered:
    """aten.cat.default."""
    inputs = arguments.tensors("tensors")
    axis = axis_of(arguments.integer("dim"), len(inputs[0].shape))
    if any(value.shape[axis : axis + 1] == (None,) for value in inputs):
        raise UnsupportedCase("concatenation along the dynamic batch")
    return Computed((ops.Concat(axis),), inputs)


def transpose(arguments: Arguments) -> Lowered:
    """aten.t.default and aten.permute.default."""
    value = arguments["self"]
    rank = len(value.shape) if isinstance(value, Activation | Weight | Constant) else 0
    order = tuple(axis_of(axis, rank) for axis in arguments.integers("dims"))
    return _permuted(arguments, order)


def transpose_pair(arguments: Arguments) -> Lowered:
    """aten.transpose.int."""
    value = arguments["self"]
    rank = len(value.shape) if isinstance(value, Activation | Weight | Constant) else 0
    order = list(range(rank))
    first, second = (axis_of(arguments.integer(name), rank) for name in ("dim0", "dim1"))
    order[first], order[second] = second, first
    return _permuted(arguments, tuple(order))


def _permuted(arguments: Arguments, order: tuple[int, ...]) -> Lowered:
    """Permutes axes; the matrix of a linear operator only notes it."""
    value = arguments["self"]
    if isinstance(value, Weight) and len(value.shape) == 2:
        if sorted(order) != [0, 1]:
            raise ArgumentError("it permutes other than two axes")
        return Forwarded(replace(value, is_transposed=value.is_transposed != (order == (1, 0))))
    tensor = arguments.tensor("self")
    if sorted(order) != list(range(len(tensor.shape))):
        raise ArgumentError(f"it permutes the axes {order} of {show(tensor.shape)}")
    if None in tensor.shape and order[0] != 0:
        raise UnsupportedCase("an axis before the dynamic batch")
    return Computed((ops.Transpose(order),), (tensor,), shares_storage=True)


def size(arguments: Arguments) -> Lowered:
    """aten.sym_size.int."""
    shape = arguments.tensor("self").shape
    extent = shape[axis_of(arguments.integer("dim"), len(shape))]
    return Forwarded(BATCH_SIZE if extent is None else extent)


def flatten(arguments: Arguments) -> Lowered:
    """aten.flatten.using_ints."""
    value = arguments.tensor("self")
    rank = len(value.shape)
    first = axis_of(arguments.integer("start_dim"), rank)
    last = axis_of(arguments.integer("end_dim"), rank)
    if first > last:
        raise ArgumentError(f"it flattens axes {first} to {last}")
    merged = value.shape[first : last + 1]
    if None in merged and element_count(merged) != 1:
        raise UnsupportedCase("flattening the dynamic batch into another axis")
    extent = None if None in merged else element_count(merged)
    return _reshaped(value, (*value.shape[:first], extent, *value.shape[last + 1 :]))


def reshape(arguments: Arguments) -> Lowered:
    """aten.view.default."""
    value = arguments.tensor("self")
    return _reshaped(value, resolve_sizes(value.shape, arguments.sizes("size")))


def reshape_to(arguments: Arguments) -> Lowered:
    """aten.reshape.default."""
    value = arguments.tensor("self")
    return _reshaped(value, resolve_sizes(value.shape, arguments.sizes("shape")))


def resolve_sizes(shape: Shape, wanted: Sequence[int | BatchSize]) -> Shape:
    """Returns the shape that a tensor of a shape gets by a list of sizes with at most one -1."""
    fixed = [item for item in wanted if isinstance(item, int) and item != -1]
    if any(item < 1 for item in fixed) or wanted.count(-1) > 1:
        raise ArgumentError(f"it has the sizes {[str(item) for item in wanted]}")
    known = 1
    for item in fixed:
        known *= item
    count = element_count(shape)
    takes_batch = None in shape and BATCH_SIZE not in wanted
    if count % known or (takes_batch and (count != known or -1 not in wanted)):
        raise UnsupportedCase(f"reshaping {show(shape)} so that samples are split or joined")
    rest = None if takes_batch else count // known
    replaced = {BATCH_SIZE: None, -1: rest}
    return tuple(
        item if isinstance(item, int) and item != -1 else replaced[item] for item in wanted
    )


def squeeze(arguments: Arguments) -> Lowered:
    """aten.squeeze.default, aten.squeeze.dim and aten.squeeze.dims."""
    value = arguments.tensor("self")
    rank = len(value.shape)
    axes = set(range(rank)) if arguments["dim"] is None else named_axes(arguments, "dim", rank)
    kept = (n for axis, n in enumerate(value.shape) if axis not in axes or n != 1)
    return _reshaped(value, tuple(kept))


def unsqueeze(arguments: Arguments) -> Lowered:
    """aten.unsqueeze.default."""
    found = arguments["self"]
    if isinstance(found, BatchRange):
        axis = axis_of(arguments.integer("dim"), found.rank + 1)
        return Forwarded(BatchRange(found.rank + 1, found.axis + (axis <= found.axis)))
    value = arguments.tensor("self")
    axis = axis_of(arguments.integer("dim"), len(value.shape) + 1)
    return _reshaped(value, (*value.shape[:axis], 1, *value.shape[axis:]))


def _reshaped(value: Tensor, shape: Shape) -> Lowered:
    if None in shape[1:]:
        raise UnsupportedCase("an axis before the dynamic batch")
    return Reshaped(value, shape)
