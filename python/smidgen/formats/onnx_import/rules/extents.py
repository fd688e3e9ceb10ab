"""Arithmetic on shapes: nodes whose operands are all small integers, the batch size among them.

Exporters write the shapes of dynamic models as such nodes. They are evaluated while the file is
read; each function returns None where an operand is something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from smidgen.formats.onnx_import.call import (
    MOST_EXTENTS,
    Call,
    Extents,
    Result,
    Rule,
    Size,
    as_extents,
    extents_of,
)
from smidgen.graph.arguments import (
    BATCH_SIZE,
    ArgumentError,
    BatchRange,
    BatchSize,
    Constant,
    UnsupportedCase,
)

Attempt = Callable[[Call], "Sequence[Result] | None"]
MOST_RANGE = 1 << 22


def first_of(on_extents: Attempt, on_tensors: Rule) -> Rule:
    """Returns the rule of an operator that exporters apply to shapes too."""

    def rule(call: Call) -> Sequence[Result]:
        found = on_extents(call)
        return on_tensors(call) if found is None else found

    return rule


def shape(call: Call) -> Sequence[Result]:
    """Shape, of a shape too."""
    value = call.operand(0)
    extents = extents_of(value.shape if isinstance(value, Extents) else call.shape(0)).items
    end = call.integer("end", len(extents))
    return [Extents(extents[call.integer("start", 0) : end])]


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
        if not isinstance(index, int) or not -len(items) <= index < len(items):
            raise ArgumentError(f"it gathers from {len(items)} numbers by others")
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
    return [Extents(data.items)] if data is not None and data.is_scalar else None


def squeeze(call: Call) -> Sequence[Result] | None:
    """Squeeze of one number."""
    data = as_extents(call.operand(0))
    if data is None or data.is_scalar or len(data.items) != 1:
        return None
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


def _binary(function: Callable[[Size, Size], Size], call: Call) -> Sequence[Result] | None:
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
    return [Extents(tuple(function(*pair) for pair in pairs), lhs.is_scalar and rhs.is_scalar)]


def _only_integers(lhs: Size, rhs: Size) -> tuple[int, int]:
    if isinstance(lhs, BatchSize) or isinstance(rhs, BatchSize):
        raise UnsupportedCase("arithmetic with the batch size")
    return lhs, rhs


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
    first, second = _only_integers(lhs, rhs)
    return first * second


def _div(lhs: Size, rhs: Size) -> Size:
    if rhs == 1:
        return lhs
    first, second = _only_integers(lhs, rhs)
    if second == 0:
        raise ArgumentError("it divides by 0")
    quotient = abs(first) // abs(second)
    return quotient if (first < 0) == (second < 0) else -quotient


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


def equal(call: Call) -> Sequence[Result] | None:
    """Equal of shapes; the batch size equals no number but itself."""
    result = _binary(lambda lhs, rhs: int(lhs == rhs), call)
    if result is None:
        return None
    extents = result[0]
    assert isinstance(extents, Extents)
    return [Constant(np.array(extents.items, np.bool_).reshape(extents.shape))]


def where(call: Call) -> Sequence[Result] | None:
    """Where between shapes by constant truth values."""
    condition, lhs, rhs = call.operand(0), as_extents(call.operand(1)), as_extents(call.operand(2))
    if not isinstance(condition, Constant) or lhs is None or rhs is None:
        return None
    chosen = condition.array.reshape(-1)
    count = max(chosen.size, len(lhs.items), len(rhs.items))
    if {chosen.size, len(lhs.items), len(rhs.items)} - {1, count}:
        raise ArgumentError("it chooses between shapes of other lengths")
    items = tuple(
        (lhs if chosen[index % chosen.size] else rhs).items[
            index % len((lhs if chosen[index % chosen.size] else rhs).items)
        ]
        for index in range(count)
    )
    return [Extents(items, is_scalar=lhs.is_scalar and rhs.is_scalar)]


def product(call: Call) -> Sequence[Result]:
    """ReduceProd of a shape."""
    data = as_extents(call.operand(0))
    if data is None:
        raise UnsupportedCase("a product of elements that are not a shape")
    is_scalar = call.integer("keepdims", 1) == 0
    return [Extents((_product(data.items),), is_scalar=is_scalar)]


def size(call: Call) -> Sequence[Result]:
    """Size."""
    return [Extents((_product(extents_of(call.shape(0)).items),), is_scalar=True)]


def _product(items: Sequence[Size]) -> Size:
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
    """Range of integers."""
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
