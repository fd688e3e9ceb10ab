"""Arithmetic on shapes: nodes whose operands are all small integers, the batch size among them.

Exporters write the shapes of dynamic models as such nodes. They are evaluated while the file is
read; each function returns None where an operand is something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from smidgen.formats.onnx_import.call import (
    MOST_EXTENTS,
    Call,
    Comparison,
    Extents,
    IfBatchIs,
    Input,
    Result,
    Rule,
    SamplePlaces,
    as_extents,
    extents_as_seen,
    extents_of,
    out_of_range,
)
from smidgen.graph.arguments import (
    BATCH_SIZE,
    ArgumentError,
    BatchMultiple,
    BatchRange,
    BatchSize,
    Constant,
    Size,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.axis_numbers import distinct_axes
from smidgen.graph.batch_extents import computed_extent, factor_of
from smidgen.graph.operations import FLOAT32

Attempt = Callable[[Call], "Sequence[Result] | None"]
MOST_RANGE = 1 << 22


def first_of(*attempts: Attempt, on_tensors: Rule) -> Rule:
    """Returns the rule of an operator that exporters apply to shapes and the like too."""

    def rule(call: Call) -> Sequence[Result]:
        for attempt in attempts:
            found = attempt(call)
            if found is not None:
                return found
        return on_tensors(call)

    return rule


def shape(call: Call) -> Sequence[Result]:
    """Shape, of a shape too."""
    extents = _extents(call).items
    end = call.integer("end", len(extents))
    return [Extents(extents[call.integer("start", 0) : end])]


def _extents(call: Call) -> Extents:
    value = call.operand(0)
    if isinstance(value, Extents | SamplePlaces):
        return extents_of(value.shape)
    return extents_as_seen(call.value(0))


def _all_extents(call: Call) -> list[Extents] | None:
    found = [as_extents(value) for value in call.inputs if value is not None]
    known = [extents for extents in found if extents is not None]
    return known if len(known) == len(found) else None


def gather(call: Call) -> Sequence[Result] | None:
    """Gather from a shape."""
    operands = _all_extents(call)
    if operands is None or len(operands) != 2 or operands[0].is_scalar:
        return None
    items, indices = operands[0].items, operands[1]
    picked = []
    for index in indices.items:
        if not isinstance(index, int):
            raise ArgumentError("its indices depend on the batch size")
        if not -len(items) <= index < len(items):
            raise ArgumentError(out_of_range(index, len(items)))
        picked.append(items[index])
    return [Extents(tuple(picked), indices.is_scalar)]


def slice_(call: Call) -> Sequence[Result] | None:
    """Slice of a shape."""
    data = as_extents(call.operand(0))
    if data is None or data.is_scalar:
        return None
    start, stop = call.one_integer_in(1), call.one_integer_in(2)
    step = call.one_integer_in(4) if call.has(4) else 1
    if step == 0:
        raise ArgumentError("it has the step 0")
    return [Extents(data.items[start:stop:step])]


def concat(call: Call) -> Sequence[Result] | None:
    """Concat of shapes."""
    operands = _all_extents(call)
    if not operands or any(operand.is_scalar for operand in operands):
        return None
    count = sum(len(operand.items) for operand in operands)
    if count > MOST_EXTENTS:
        raise UnsupportedCase(f"a shape of {count} numbers")
    return [Extents(tuple(item for operand in operands for item in operand.items))]


def unsqueeze(call: Call) -> Sequence[Result] | None:
    """Unsqueeze of a number."""
    data = as_extents(call.operand(0))
    if data is None or not data.is_scalar:
        return None
    axes = call.axes(1) or ()
    return [Extents(data.items)] if len(distinct_axes(axes, len(axes))) == 1 else None


def squeeze(call: Call) -> Sequence[Result] | None:
    """Squeeze of one number."""
    data = as_extents(call.operand(0))
    if data is None or data.is_scalar or len(data.items) != 1:
        return None
    distinct_axes(call.axes(1) or (), 1)
    return [Extents(data.items, is_scalar=True)]


def reshape(call: Call) -> Sequence[Result] | None:
    """Reshape of a vector or number to a vector."""
    data = as_extents(call.operand(0))
    if data is None or not isinstance(call.operand(0), Extents):
        return None
    wanted = call.integers_in(1)
    if wanted not in ((-1,), (len(data.items),)):
        return None
    return [Extents(data.items)]


def cast(call: Call) -> Sequence[Result] | None:
    """Cast between integers."""
    data = call.operand(0)
    is_integer = call.integer("to") in (TensorProto.INT64, TensorProto.INT32)
    return [data] if isinstance(data, Extents) and is_integer else None


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The numbers that an operator of two shapes brings together."""

    items: tuple[tuple[Size, Size], ...]
    is_scalar: bool


def _binary(function: Callable[[Size, Size], Size], call: Call) -> Sequence[Result] | None:
    pairs = _pairs(call)
    if pairs is None:
        return None
    return [Extents(tuple(function(*pair) for pair in pairs.items), pairs.is_scalar)]


def _pairs(call: Call) -> _Pairs | None:
    operands = _all_extents(call)
    if operands is None or len(operands) != 2:
        return None
    lhs, rhs = operands
    count = max(len(lhs.items), len(rhs.items))
    if {len(lhs.items), len(rhs.items)} - {1, count}:
        raise ArgumentError(f"it has {len(lhs.items)} and {len(rhs.items)} numbers")
    pairs = zip(
        lhs.items * (count if len(lhs.items) == 1 else 1),
        rhs.items * (count if len(rhs.items) == 1 else 1),
        strict=True,
    )
    return _Pairs(tuple(pairs), lhs.is_scalar and rhs.is_scalar)


def _only_integers(lhs: Size, rhs: Size) -> tuple[int, int]:
    if not isinstance(lhs, int) or not isinstance(rhs, int):
        raise UnsupportedCase("arithmetic with the batch size")
    return lhs, rhs


def _with_batch(function: str, lhs: Size, rhs: Size) -> Size:
    found = computed_extent(function, (lhs, rhs))
    assert isinstance(found, int | BatchSize | BatchMultiple)
    return found


def _add(lhs: Size, rhs: Size) -> Size:
    if 0 in (lhs, rhs):
        return rhs if lhs == 0 else lhs
    first, second = _only_integers(lhs, rhs)
    return first + second


def _sub(lhs: Size, rhs: Size) -> Size:
    if rhs == 0:
        return lhs
    first, second = _only_integers(lhs, rhs)
    return first - second


def _mul(lhs: Size, rhs: Size) -> Size:
    if 1 in (lhs, rhs):
        return rhs if lhs == 1 else lhs
    if isinstance(lhs, int) and isinstance(rhs, int):
        return lhs * rhs
    return _with_batch("mul", lhs, rhs)


def _div(lhs: Size, rhs: Size) -> Size:
    if rhs == 1:
        return lhs
    if rhs == 0:
        raise ArgumentError("it divides by 0")
    if not isinstance(lhs, int) or not isinstance(rhs, int):
        return _with_batch("floordiv", lhs, rhs)
    quotient = abs(lhs) // abs(rhs)
    return quotient if (lhs < 0) == (rhs < 0) else -quotient


def _mod(lhs: Size, rhs: Size) -> Size:
    if rhs == 0:
        raise ArgumentError("it divides by 0")
    factor = factor_of(lhs)
    if factor is not None and isinstance(rhs, int) and factor % rhs == 0:
        return 0
    first, second = _only_integers(lhs, rhs)
    return first % second


def mod(call: Call) -> Sequence[Result]:
    """Mod of shapes, with the sign of the divisor."""
    if call.integer("fmod", 0):
        raise UnsupportedCase("a remainder with the sign of what is divided")
    found = _binary(_mod, call)
    if found is None:
        raise UnsupportedCase("a remainder of elements that are not a shape")
    return found


def add(call: Call) -> Sequence[Result] | None:
    """Add of shapes."""
    return _binary(_add, call)


def sub(call: Call) -> Sequence[Result] | None:
    """Sub of shapes."""
    return _binary(_sub, call)


def mul(call: Call) -> Sequence[Result] | None:
    """Mul of shapes."""
    return _binary(_mul, call)


def div(call: Call) -> Sequence[Result] | None:
    """Div of shapes, towards zero."""
    return _binary(_div, call)


def _equal(lhs: Size, rhs: Size) -> bool | IfBatchIs:
    for size, other in ((lhs, rhs), (rhs, lhs)):
        factor = factor_of(size)
        if factor is not None and isinstance(other, int):
            is_possible = other > 0 and other % factor == 0
            return IfBatchIs(other // factor) if is_possible else False
    return lhs == rhs


def equal(call: Call) -> Sequence[Result] | None:
    """Equal of shapes; the batch size is at least 1, and may be any such number."""
    pairs = _pairs(call)
    if pairs is None:
        return None
    items = tuple(_equal(*pair) for pair in pairs.items)
    if any(isinstance(item, IfBatchIs) for item in items):
        return [Comparison(items)]
    return [Constant(np.array(items, np.bool_).reshape(() if pairs.is_scalar else -1))]


def where(call: Call) -> Sequence[Result] | None:
    """Where between shapes by constant truth values."""
    condition, lhs, rhs = call.operand(0), as_extents(call.operand(1)), as_extents(call.operand(2))
    if not isinstance(condition, Constant | Comparison) or lhs is None or rhs is None:
        return None
    chosen = _truths(condition)
    count = max(len(chosen), len(lhs.items), len(rhs.items))
    if {len(chosen), len(lhs.items), len(rhs.items)} - {1, count}:
        raise ArgumentError("it chooses between shapes of other lengths")
    items = tuple(
        _choice(
            chosen[index % len(chosen)],
            lhs.items[index % len(lhs.items)],
            rhs.items[index % len(rhs.items)],
        )
        for index in range(count)
    )
    return [Extents(items, is_scalar=lhs.is_scalar and rhs.is_scalar)]


def _truths(condition: Constant | Comparison) -> Sequence[bool | IfBatchIs]:
    if isinstance(condition, Comparison):
        return condition.items
    if condition.array.size > MOST_EXTENTS:
        raise UnsupportedCase(f"a choice between {condition.array.size} numbers")
    return [bool(item) for item in condition.array.reshape(-1)]


def _choice(truth: bool | IfBatchIs, lhs: Size, rhs: Size) -> Size:
    if isinstance(truth, IfBatchIs):
        # If both are the same for such a batch, the second is right for every batch.
        if _for_batch(truth.number, lhs) == _for_batch(truth.number, rhs):
            return rhs
        raise UnsupportedCase(f"a choice by whether the batch size is {truth.number}")
    return lhs if truth else rhs


def _for_batch(batch: int, size: Size) -> int:
    return size if isinstance(size, int) else batch * (factor_of(size) or 1)


def product(call: Call) -> Sequence[Result]:
    """ReduceProd of a shape."""
    data = as_extents(call.operand(0))
    if data is None:
        raise UnsupportedCase("a product of elements that are not a shape")
    is_scalar = call.integer("keepdims", 1) == 0
    return [Extents((product_of(data.items),), is_scalar=is_scalar)]


def size(call: Call) -> Sequence[Result]:
    """Size."""
    return [Extents((product_of(_extents(call).items),), is_scalar=True)]


def product_of(items: Sequence[Size]) -> Size:
    """Returns the product of extents."""
    result: Size = 1
    for item in items:
        result = _mul(result, item)
    return result


def _one_size(call: Call, index: int) -> Size:
    sizes = call.sizes(index)
    if len(sizes) != 1:
        raise ArgumentError(f"its operand {index} is not one number")
    return sizes[0]


def range_(call: Call) -> Sequence[Result]:
    """Range."""
    if all(_is_float(call.operand(index)) for index in range(3)):
        start, limit, step = (call.number_in(index) for index in range(3))
        return [call.one("arange.start_step", start=start, end=limit, step=step)]
    return _range_of_integers(call)


def _is_float(value: Input) -> bool:
    return isinstance(value, Constant | Weight) and value.dtype == FLOAT32


def _range_of_integers(call: Call) -> Sequence[Result]:
    start, limit, step = (_one_size(call, index) for index in range(3))
    if limit is BATCH_SIZE:
        if (start, step) != (0, 1):
            raise UnsupportedCase("a range up to the batch size that does not begin at 0")
        return [BatchRange()]
    if not all(isinstance(number, int) for number in (start, limit, step)) or step == 0:
        raise UnsupportedCase("a range from the batch size")
    assert isinstance(start, int)
    assert isinstance(limit, int)
    assert isinstance(step, int)
    if len(range(start, limit, step)) > MOST_RANGE:
        raise UnsupportedCase(f"a range from {start} to {limit}")
    return [Constant(np.arange(start, limit, step, dtype=np.int64))]
