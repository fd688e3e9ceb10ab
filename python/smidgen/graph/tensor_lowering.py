"""What calls of the ATen operators of transformers mean: lookups, norms, masks, attention.

Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    Activation,
    ArgumentError,
    Arguments,
    BatchRange,
    BatchSize,
    Constant,
    Tensor,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.axis_numbers import axis_of
from smidgen.graph.constant_limit import check_constant
from smidgen.graph.elementwise_lowering import operand_pair
from smidgen.graph.lowered import Computed, Forwarded, Lowered, Reshaped
from smidgen.graph.operations import BOOL, FLOAT32, INT64, OpKind, Shape
from smidgen.graph.shapes import ShapeError, broadcast


def embedding(arguments: Arguments) -> Lowered:
    """aten.embedding.default."""
    indices = arguments.tensor("indices")
    if indices.dtype != INT64:
        raise UnsupportedCase(f"indices of type {indices.dtype}")
    return Computed((ops.Embedding(arguments.plain_weight("weight")),), (indices,))


def layer_norm(arguments: Arguments) -> Lowered:
    """aten.layer_norm.default over the last axis."""
    value, extents = arguments.tensor("input"), arguments.integers("normalized_shape")
    if len(extents) != 1 or not value.shape or extents[0] != value.shape[-1]:
        raise UnsupportedCase("a normalization of other than the last axis")
    eps = arguments.number("eps")
    if eps < 0:
        raise ArgumentError(f"it has eps {eps}")
    operation = ops.LayerNorm(
        arguments.optional_weight("weight"), arguments.optional_weight("bias"), eps
    )
    return Computed((operation,), (value,))


def softmax(arguments: Arguments) -> Lowered:
    """aten.softmax.int and aten._softmax.default."""
    value = arguments.tensor("self")
    axis = axis_of(arguments.integer("dim"), len(value.shape))
    if axis == 0 and len(value.shape) > 1:
        raise UnsupportedCase("a softmax over the samples")
    return Computed((ops.Softmax(axis),), (value,))


def attention(arguments: Arguments) -> Lowered:
    """aten.scaled_dot_product_attention.default of four axes, without dropout.

    With five, [N, windows, heads, tokens, features], the windows have heads of their own.
    """
    operands: list[Tensor | Computed] = [
        arguments.tensor(name) for name in ("query", "key", "value")
    ]
    shapes = [arguments.tensor(name).shape for name in ("query", "key", "value")]
    if {len(shape) for shape in shapes} not in ({4}, {5}):
        raise UnsupportedCase("an attention of other than four axes")
    if arguments.number("dropout_p") != 0 or arguments.flag("enable_gqa"):
        raise UnsupportedCase("attention with dropout or grouped queries")
    if arguments["attn_mask"] is not None:
        operands.append(arguments.tensor("attn_mask"))
        shapes.append(arguments.tensor("attn_mask").shape)
    query = shapes[0]
    has_windows = len(query) == 5
    if has_windows:
        heads = (query[1] or 1, query[2] or 1)
        operands = [
            _heads_of_windows(operand, shape, heads)
            for operand, shape in zip(operands, shapes, strict=True)
        ]
    scale = arguments.optional_number("scale")
    operation = ops.ScaledDotProductAttention(
        1.0 / math.sqrt(query[-1] or 1) if scale is None else scale, arguments.flag("is_causal")
    )
    if has_windows:
        result = (*query[:4], shapes[2][4])
        return Computed((operation, ops.Reshape(result)), tuple(operands))
    return Computed((operation,), tuple(operands))


def _heads_of_windows(
    value: Tensor | Computed, shape: Shape, heads: tuple[int, int]
) -> Tensor | Computed:
    """Joins windows and heads of an operand; what lacks one of these axes is repeated along it."""
    if len(shape) < 3:
        return value
    if len(shape) > 5:
        raise UnsupportedCase("an attention mask of more than five axes")
    whole = (*(1,) * (5 - len(shape)), *shape)
    reached = (whole[0], *heads, *whole[3:])
    operations: list[ops.Operation] = []
    if len(shape) != 5:
        operations.append(ops.Reshape(whole))
    if whole[1:3] == (1, 1):
        return Computed((ops.Reshape((whole[0], 1, *whole[3:])),), (value,))
    if whole != reached:
        operations.append(ops.Expand(reached))
    operations.append(ops.Reshape((whole[0], heads[0] * heads[1], *whole[3:])))
    return Computed(tuple(operations), (value,))


def binary(kind: OpKind, arguments: Arguments) -> Lowered:
    """aten.sub, aten.div and the bitwise and and or of bool."""
    lhs, rhs = operand_pair(arguments)
    if "alpha" in arguments and arguments.number("alpha") != 1:
        raise UnsupportedCase("alpha other than 1")
    is_logical = kind in (OpKind.AND, OpKind.OR)
    if is_logical and _dtype_of(lhs) != BOOL:
        raise UnsupportedCase("a bitwise operation on other than bool")
    if kind is OpKind.DIV and _dtype_of(lhs) != FLOAT32:
        lhs, rhs = (Computed((ops.Cast(FLOAT32),), (value,)) for value in (lhs, rhs))
    if is_logical:
        # What always holds takes no part: masks of HF's transformers begin with it.
        neutral = kind is OpKind.AND
        for one, other in ((lhs, rhs), (rhs, lhs)):
            if isinstance(one, Constant) and bool((one.array == neutral).all()):
                return _expanded(other, one.shape)
    return Computed((ops.Binary(kind),), (lhs, rhs))


def reversed_subtraction(arguments: Arguments) -> Lowered:
    """aten.rsub.Scalar and aten.rsub.Tensor: other - self."""
    lhs, rhs = operand_pair(arguments)
    if arguments.number("alpha") != 1:
        raise UnsupportedCase("alpha other than 1")
    return Computed((ops.Binary(OpKind.SUB),), (rhs, lhs))


def unary(kind: OpKind, arguments: Arguments) -> Lowered:
    """A function of one number that no table replaces."""
    return Computed((ops.Unary(kind),), (arguments.tensor("self"),))


def type_as(arguments: Arguments) -> Lowered:
    """aten.type_as.default."""
    value, dtype = arguments.tensor("self"), arguments.tensor("other").dtype
    if value.dtype == dtype:
        return Forwarded(value)
    return Computed((ops.Cast(dtype),), (value,))


def logical_not(arguments: Arguments) -> Lowered:
    """aten.logical_not.default and aten.bitwise_not.default, of bool."""
    value = arguments.tensor("self")
    if value.dtype != BOOL:
        raise UnsupportedCase(f"a negation of {value.dtype}")
    return Computed((ops.Unary(OpKind.NOT),), (value,))


def compare(function: str, arguments: Arguments) -> Lowered:
    """aten.eq, ne, lt, le, gt and ge with a tensor or a number."""
    return Computed((ops.Compare(function),), operand_pair(arguments))


def where(arguments: Arguments) -> Lowered:
    """aten.where.self, aten.where.ScalarOther and their like."""
    condition, choices = arguments.tensor("condition"), [arguments["self"], arguments["other"]]
    if any(isinstance(choice, Weight | Constant) and choice.dtype == INT64 for choice in choices):
        integers = [_integers(arguments, name) for name in ("self", "other")]
        return Computed((ops.Where(),), (_as_bool(condition), *integers))
    inputs = [_tensor_or_number(arguments, name) for name in ("self", "other")]
    return Computed((ops.Where(),), (_as_bool(condition), *inputs))


def _integers(arguments: Arguments, name: str) -> Tensor:
    value = arguments[name]
    if isinstance(value, int):
        return Constant(np.array(value, np.int64))
    tensor = arguments.tensor(name)
    if tensor.dtype != INT64:
        raise UnsupportedCase(f"a choice of {tensor.dtype} and int64")
    return tensor


def masked_fill(arguments: Arguments) -> Lowered:
    """aten.masked_fill.Scalar and aten.masked_fill.Tensor."""
    value, mask = arguments.tensor("self"), arguments.tensor("mask")
    if value.dtype != FLOAT32:
        raise UnsupportedCase(f"filling {value.dtype}")
    filling = _tensor_or_number(arguments, "value")
    return Computed((ops.Where(),), (_as_bool(mask), filling, value))


def _tensor_or_number(arguments: Arguments, name: str) -> Tensor:
    value = arguments[name]
    if isinstance(value, int | float):
        # Masks are filled with -inf, which arithmetic would turn into NaN.
        lowest = float(np.finfo(np.float32).min)
        return Constant(np.array(min(max(value, lowest), -lowest), np.float32))
    tensor = arguments.tensor(name)
    if tensor.dtype != FLOAT32:
        raise UnsupportedCase(f"a choice of {tensor.dtype}")
    return tensor


def _as_bool(value: Tensor) -> Tensor | Computed:
    return value if value.dtype == BOOL else Computed((ops.Cast(BOOL),), (value,))


def slice_axis(arguments: Arguments) -> Lowered:
    """aten.slice.Tensor."""
    value = arguments.tensor("self")
    axis = axis_of(arguments.integer("dim"), len(value.shape))
    extent, step = value.shape[axis], arguments.integer("step")
    start = 0 if arguments["start"] is None else arguments.integer("start")
    stop = None if arguments["end"] is None else arguments.integer("end")
    if extent is None:
        if start == 0 and step == 1 and (stop is None or stop >= (1 << 31)):
            return Forwarded(value)
        raise UnsupportedCase("a slice of the dynamic batch")
    if step < 1:
        raise ArgumentError(f"it has the step {step}")
    first, last, _ = slice(start, stop).indices(extent)
    if first >= last:
        raise UnsupportedCase("an empty slice")
    if (first, last, step) == (0, extent, 1):
        return Forwarded(value)
    return Computed((ops.Slice(axis, first, last, step),), (value,), shares_storage=True)


def select(arguments: Arguments) -> Lowered:
    """aten.select.int: one element of an axis, without the axis."""
    value = arguments.tensor("self")
    axis = axis_of(arguments.integer("dim"), len(value.shape))
    extent = value.shape[axis]
    if extent is None:
        raise UnsupportedCase("one sample of the dynamic batch")
    index = axis_of(arguments.integer("index"), extent)
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    operations = (ops.Slice(axis, index, index + 1), ops.Reshape(shape))
    return Computed(operations, (value,), shares_storage=True)


def expand(arguments: Arguments) -> Lowered:
    """aten.expand.default."""
    value, sizes = arguments.tensor("self"), arguments.sizes("size")
    new = len(sizes) - len(value.shape)
    if new < 0 or any(size == -1 for size in sizes[:new]):
        raise ArgumentError("it expands to fewer axes, or new ones of no extent")
    kept = (*(1,) * new, *value.shape)
    wanted = (
        extent if size == -1 else None if isinstance(size, BatchSize) else size
        for size, extent in zip(sizes, kept, strict=True)
    )
    shape = tuple(wanted)
    for found, extent in zip(kept, shape, strict=True):
        if found not in (1, extent):
            raise ArgumentError("it expands an axis of several elements")
    return _expanded(value, shape)


def expand_as(arguments: Arguments) -> Lowered:
    """aten.expand_as.default."""
    return _expanded(arguments.tensor("self"), arguments.tensor("other").shape)


def _expanded(value: Tensor | Computed, shape: Shape) -> Lowered:
    if isinstance(value, Computed):
        return Computed((*value.operations, ops.Expand(shape)), value.inputs)
    try:
        target = broadcast(value.shape, shape)
    except ShapeError as error:
        raise ArgumentError(str(error)) from None
    if target == value.shape:
        return Forwarded(value)
    return Computed((ops.Expand(target),), (value,), shares_storage=True)


def index(arguments: Arguments) -> Lowered:
    """aten.index.Tensor by whole ranges along axes of their own: a reshape."""
    value, indices = arguments.tensor("self"), arguments["indices"]
    items = indices if isinstance(indices, tuple) else ()
    if not isinstance(value, Activation) and all(isinstance(i, Weight | Constant) for i in items):
        return _constant_index(value, [i for i in items if isinstance(i, Weight | Constant)])
    axes = [_range_axis(item, extent) for item, extent in zip(items, value.shape, strict=False)]
    rank = max((_rank(item) for item in items), default=0)
    is_whole = len(items) == len(value.shape) and None not in axes
    # Axes count from the end, as broadcasting aligns them.
    places = [
        axis - _rank(item) + rank
        for axis, item in zip(axes, items, strict=False)
        if axis is not None
    ]
    if not is_whole or sorted(set(places)) != places:
        raise UnsupportedCase("indices other than whole ranges along axes of their own")
    shape: list[int | None] = [1] * rank
    for place, extent in zip(places, value.shape, strict=True):
        shape[place] = extent
    if None in shape[1:]:
        raise UnsupportedCase("an axis before the dynamic batch")
    return Reshaped(value, tuple(shape))


def _constant_index(value: Weight | Constant, items: Sequence[Weight | Constant]) -> Lowered:
    """Selects elements of a constant by constant indices, as NumPy does."""
    if not 0 < len(items) <= len(value.shape):
        raise ArgumentError(f"it selects by {len(items)} axes of {len(value.shape)}")
    if all(item.dtype == INT64 for item in items):
        # Truth values cannot select more than there is; integers can.
        selected = broadcast(*(item.shape for item in items))
        check_constant(*(extent or 0 for extent in selected), *value.shape[len(items) :])
    elif len(items) != 1:
        raise UnsupportedCase("a selection by other than integers")
    try:
        return Forwarded(Constant(np.ascontiguousarray(value.array[tuple(i.array for i in items)])))
    except IndexError as error:
        raise ArgumentError(str(error)) from None


def _rank(item: Value) -> int:
    return (
        item.rank
        if isinstance(item, BatchRange)
        else len(item.shape)
        if isinstance(item, Constant)
        else 0
    )


def _range_axis(item: Value, extent: int | None) -> int | None:
    """Returns the axis along which an index runs over a whole extent, or None if it does not."""
    if isinstance(item, BatchRange):
        return item.axis if extent is None else None
    if not isinstance(item, Constant) or extent is None or not item.shape:
        return None
    if item.array.size != extent or not np.array_equal(item.array.ravel(), np.arange(extent)):
        return None
    return item.shape.index(extent) if extent > 1 else len(item.shape) - 1


def _dtype_of(value: Tensor | Computed) -> str:
    if not isinstance(value, Computed):
        return value.dtype
    last = value.operations[-1]
    return last.dtype if isinstance(last, ops.Cast) else FLOAT32
