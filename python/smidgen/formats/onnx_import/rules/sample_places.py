"""Places among the samples: the batch's numbers times a constant, plus constants.

Exporters write a selection by two indices, `mask[samples, places]` of a mask [N, k], as a selection
of the rows of [N * k, 1] by k times the numbers of the samples plus the places. Each function
returns None where an operand is something else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smidgen.formats.onnx_import.call import Call, Input, Result, SamplePlaces, extents_as_seen
from smidgen.formats.onnx_import.rules.movement import check_size, pieces
from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    BatchRange,
    Constant,
    Joined,
    UnsupportedCase,
)
from smidgen.graph.arrangement import rows_of
from smidgen.graph.axis_numbers import axis_of
from smidgen.graph.operations import INT64
from smidgen.graph.shapes import broadcast

_MOST_PLACE = (1 << 31) - 1


def _as_places(value: Input | None) -> SamplePlaces | None:
    if isinstance(value, BatchRange) and value.axis == 0:
        return SamplePlaces(1, Constant(np.zeros((1,) * value.rank, np.int64)))
    return value if isinstance(value, SamplePlaces) else None


def _with_constant(call: Call) -> tuple[SamplePlaces, Constant] | None:
    """Returns the operands of a commutative operator, if they are places and small integers."""
    for first, second in ((0, 1), (1, 0)):
        places = _as_places(call.operand(first))
        if places is None or _as_places(call.operand(second)) is not None:
            continue
        array = call.array(second)
        if array.dtype.name != INT64 or len(broadcast(places.shape, array.shape)) != len(
            places.shape
        ):
            return None
        if array.size and max(abs(int(array.min())), abs(int(array.max()))) > _MOST_PLACE:
            raise UnsupportedCase(f"places beyond {_MOST_PLACE}")
        return places, Constant(array)
    return None


def multiply(call: Call) -> Sequence[Result] | None:
    """Mul of the numbers of the samples and one positive integer."""
    found = _with_constant(call)
    if found is None:
        return None
    places, numbers = found
    factor = int(numbers.array.reshape(-1)[0]) if numbers.array.size == 1 else 0
    if factor < 1 or places.factor * factor > _MOST_PLACE or places.offsets.array.any():
        raise UnsupportedCase("its use of the numbers of the samples")
    return [SamplePlaces(places.factor * factor, places.offsets)]


def add(call: Call) -> Sequence[Result] | None:
    """Add of the numbers of the samples and constants."""
    found = _with_constant(call)
    if found is None:
        return None
    places, numbers = found
    if places.offsets.array.any():
        raise UnsupportedCase("its use of the numbers of the samples")
    shape = broadcast(places.offsets.shape, numbers.shape)
    check_size(math.prod(extent or 1 for extent in shape))
    offsets = Constant(np.add(places.offsets.array, numbers.array))
    if shape[0] != 1:
        raise UnsupportedCase("its use of the numbers of the samples")
    call.assembly.charge(offsets)
    return [SamplePlaces(places.factor, offsets)]


def gather(call: Call) -> Sequence[Result] | None:
    """Gather of rows at places of their own sample, of samples that are joined with an axis."""
    places = _as_places(call.operand(1))
    if places is None:
        return None
    data = call.value(0)
    sizes = extents_as_seen(data).items
    if axis_of(call.integer("axis", 0), len(sizes)) != 0:
        raise UnsupportedCase("the numbers of the samples along another axis")
    rows = _rows(call, data, places.factor)
    offsets = places.offsets.array.reshape(-1)
    if not offsets.size or not 0 <= offsets.min() <= offsets.max() < places.factor:
        raise UnsupportedCase("places of other samples")
    is_whole = np.array_equal(offsets, np.arange(places.factor))
    picked = rows if is_whole else pieces(call, rows, 1, [int(offset) for offset in offsets])
    shape = (BATCH_SIZE, *places.offsets.shape[1:], *sizes[1:])
    return call.aten("reshape.default", self=picked, shape=shape)


def _rows(call: Call, data: object, factor: int) -> Activation:
    """Returns rows [N, k, ...] of what the file sees as [N * k, ...]."""
    rows = rows_of(data) if isinstance(data, Joined) else None
    if rows is not None and rows.shape[1] == factor:
        return rows
    if isinstance(data, Activation) and data.shape[:1] == (None,) and factor == 1:
        single = call.one("unsqueeze.default", self=data, dim=1)
        assert isinstance(single, Activation)
        return single
    raise UnsupportedCase("places of other samples")
