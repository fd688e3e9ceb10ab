"""Calls that name the axes of values in another order or size. Needs no torch.

Of Joined values they change only which axis the file sees where, as far as that is possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    Constant,
    Joined,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.arrangement import Arranger, Lined, as_seen, padded, permuted, sizes, view_of
from smidgen.graph.axis_numbers import axis_of, distinct_axes
from smidgen.graph.batch_extents import factor_of, product_of
from smidgen.graph.operator import Operator

_ENDLESS = 1 << 31
"""What files state as the end of a slice that has none; no batch is that large."""
Rearranged = Activation | Joined | None


def _source(arguments: Mapping[str, Value]) -> Joined | None:
    """Returns what a call reads as the file sees it, or None if it has no samples."""
    source = arguments.get("self")
    if isinstance(source, Activation) and source.shape[:1] == (None,):
        return as_seen(source)
    return source if isinstance(source, Joined) else None


def _viewed(arranger: Arranger, arguments: Mapping[str, Value], wanted: Value) -> Rearranged:
    """Views a value; None where the samples stay alone in front of one that has them there."""
    source = _source(arguments)
    if source is None or not isinstance(wanted, tuple):
        return None
    if not isinstance(arguments["self"], Joined):
        view = view_of(source, wanted)
        if view is None or view.is_plain:
            return None
    return arranger.viewed(source, wanted)


def _by(name: str) -> Callable[[Arranger, Mapping[str, Value]], Rearranged]:
    return lambda arranger, arguments: _viewed(arranger, arguments, arguments.get(name))


def _flattened(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    source = _source(arguments)
    first, last = arguments.get("start_dim", 0), arguments.get("end_dim", -1)
    if source is None or not isinstance(first, int) or not isinstance(last, int):
        return None
    extents = sizes(source)
    first, last = axis_of(first, len(extents)), axis_of(last, len(extents))
    if first >= last or (first and not isinstance(arguments["self"], Joined)):
        return None
    merged = product_of(extents[first : last + 1])
    return _viewed(arranger, arguments, (*extents[:first], merged, *extents[last + 1 :]))


def _unflattened(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    source, wanted, axis = _source(arguments), arguments.get("sizes"), arguments.get("dim")
    if source is None or not isinstance(wanted, tuple) or not isinstance(axis, int):
        return None
    extents = sizes(source)
    axis = axis_of(axis, len(extents))
    if axis and not isinstance(arguments["self"], Joined):
        return None
    return _viewed(arranger, arguments, (*extents[:axis], *wanted, *extents[axis + 1 :]))


def _sized_as(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    other = arguments.get("other")
    if isinstance(other, Activation) and other.shape[:1] == (None,):
        other = as_seen(other)
    return _viewed(arranger, arguments, sizes(other)) if isinstance(other, Joined) else None


def _permuted(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    dims = arguments.get("dims", (1, 0))
    order = [axis for axis in dims if isinstance(axis, int)] if isinstance(dims, tuple) else []
    return _reordered(arranger, arguments, order)


def _swapped(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    source, pair = _source(arguments), (arguments.get("dim0"), arguments.get("dim1"))
    if source is None:
        return None
    order = list(range(len(source.axes)))
    first, second = (axis_of(axis if isinstance(axis, int) else 0, len(order)) for axis in pair)
    order[first], order[second] = second, first
    return _reordered(arranger, arguments, order)


def _reordered(
    arranger: Arranger, arguments: Mapping[str, Value], order: Sequence[int]
) -> Rearranged:
    source = _source(arguments)
    if source is None or not order:
        return None
    if not isinstance(arguments["self"], Joined) and order[0] in (0, -len(source.axes)):
        return None
    return arranger.plain(permuted(source, order))


def _unsqueezed(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    source, axis = _source(arguments), arguments.get("dim")
    if source is None or not isinstance(axis, int):
        return None
    axis = axis_of(axis, len(source.axes) + 1)
    if axis and not isinstance(arguments["self"], Joined):
        return None
    return arranger.plain(Joined(source.value, (*source.axes[:axis], (), *source.axes[axis:])))


def _squeezed(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    source, dims = arguments.get("self"), arguments.get("dim")
    if not isinstance(source, Joined):
        return None
    extents = sizes(source)
    items = dims if isinstance(dims, tuple) else (dims,)
    named = distinct_axes([axis for axis in items if isinstance(axis, int)], len(extents))
    gone = {
        axis
        for axis, extent in enumerate(extents)
        if extent == 1 and (dims is None or axis in named)
    }
    if any(source.axes[axis] for axis in gone):
        return arranger.viewed(source, [n for axis, n in enumerate(extents) if axis not in gone])
    kept = tuple(group for axis, group in enumerate(source.axes) if axis not in gone)
    return arranger.plain(Joined(source.value, kept))


def _expanded(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    """Expands to a shape that has the samples behind other axes, or expands a Joined value."""
    source, wanted = arguments.get("self"), arguments.get("size")
    if not isinstance(wanted, tuple):
        return None
    if isinstance(source, Joined):
        return _expanded_joined(arranger, source, wanted)
    place = next((axis for axis, item in enumerate(wanted) if item is BATCH_SIZE), 0)
    if not isinstance(source, Weight | Constant) or not place or len(source.shape) > len(wanted):
        return None
    shape = (*(1,) * (len(wanted) - len(source.shape)), *source.shape)
    if shape[place] != 1:
        return None
    order = (place, *range(place), *range(place + 1, len(shape)))
    moved = arranger.constant(source, tuple(shape[axis] for axis in order))
    result = arranger.expanded(moved, [wanted[axis] for axis in order])
    return Lined(result, place, 0, 0).seen(result)


def _repeated(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    """Repeats a constant for each sample, along an axis behind others."""
    source, repeats = arguments.get("self"), arguments.get("repeats")
    if not isinstance(source, Weight | Constant) or not isinstance(repeats, tuple):
        return None
    shape = (*(1,) * (len(repeats) - len(source.shape)), *source.shape)
    if any(times not in (1, BATCH_SIZE) for times in repeats):
        return None
    wanted = tuple(
        extent if times == 1 else times for times, extent in zip(repeats, shape, strict=False)
    )
    return _expanded(arranger, {"self": source, "size": wanted})


def _sliced(arranger: Arranger, arguments: Mapping[str, Value]) -> Rearranged:
    """Slices all samples, which is what a colon among the indices is."""
    source, axis = arguments.get("self"), arguments.get("dim", 0)
    if not isinstance(source, Joined) or not isinstance(axis, int):
        return None
    start, stop, step = (arguments.get(name) for name in ("start", "end", "step"))
    is_whole = start in (None, 0) and step in (None, 1) and (stop is None or _is_endless(stop))
    return source if is_whole and 0 in source.axes[axis_of(axis, len(source.axes))] else None


def _is_endless(stop: Value) -> bool:
    return isinstance(stop, int) and stop >= _ENDLESS


def filled(arranger: Arranger, operator: Operator, arguments: Mapping[str, Value]) -> Rearranged:
    """Fills a tensor of which the samples are not the first axis alone."""
    wanted, like = arguments.get("size"), arguments.get("self")
    if not isinstance(wanted, tuple):
        return None
    place = next((axis for axis, item in enumerate(wanted) if factor_of(item) is not None), 0)
    factor = factor_of(wanted[place]) if wanted else None
    if factor is None or (place, factor) == (0, 1):
        return None
    joined = () if factor == 1 else (factor,)
    size = (BATCH_SIZE, *wanted[:place], *joined, *wanted[place + 1 :])
    found = {"self": like.value} if isinstance(like, Joined) else {}
    (result,) = arranger.called(operator, {**arguments, **found, "size": size})
    return Lined(result, place, 0, len(joined)).seen(result)


def _expanded_joined(arranger: Arranger, source: Joined, wanted: Sequence[Value]) -> Rearranged:
    if len(wanted) < len(source.axes):
        raise UnsupportedCase("an expansion to fewer axes")
    lined = padded(arranger, source, len(wanted))
    stated = wanted[lined.place]
    if stated not in (-1, sizes(lined.seen(lined.value))[lined.place]):
        raise UnsupportedCase("an axis of the samples")
    kept = (-1,) * (lined.before + lined.behind)
    target = (-1, *wanted[: lined.place], *kept, *wanted[lined.place + 1 :])
    result = arranger.expanded(lined.value, target)
    return arranger.plain(lined.seen(result))


REARRANGING: Mapping[str, Callable[[Arranger, Mapping[str, Value]], Rearranged]] = {
    "view.default": _by("size"),
    "_unsafe_view.default": _by("size"),
    "reshape.default": _by("shape"),
    "flatten.using_ints": _flattened,
    "unflatten.int": _unflattened,
    "reshape_as.default": _sized_as,
    "permute.default": _permuted,
    "numpy_T.default": _permuted,
    "t.default": _permuted,
    "transpose.int": _swapped,
    "unsqueeze.default": _unsqueezed,
    "squeeze.default": _squeezed,
    "squeeze.dim": _squeezed,
    "squeeze.dims": _squeezed,
    "expand.default": _expanded,
    "repeat.default": _repeated,
    "slice.Tensor": _sliced,
}
"""Operators that name axes in another order or size, of values with samples."""
