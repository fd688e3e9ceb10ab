"""Calls on values whose samples are not the first axis of the file's tensor. Needs no torch.

Such values are Joined (see arrangement.py). What only names axes in another order or size adds no
operation; all else runs on the values [N, ...] with the axes that the file means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from smidgen.graph.arguments import (
    BATCH_SIZE,
    JOINED_SAMPLES,
    Activation,
    Constant,
    Joined,
    Operand,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.arrangement import (
    Arranger,
    Axes,
    Lined,
    as_seen,
    permuted,
    size,
    sizes,
    view_of,
    without,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.axis_numbers import axis_of, distinct_axes
from smidgen.graph.batch_extents import factor_of, product_of
from smidgen.graph.layer_lowering import batch_norm_of_joined
from smidgen.graph.operator import Operator

_ALONG_AXES = frozenset({
    "softmax.int", "_softmax.default", "slice.Tensor", "select.int", "log_softmax.int",
    "_log_softmax.default", "chunk.default", "split.Tensor", "split_with_sizes.default",
    "unbind.int", "narrow.default", "mean.dim", "sum.dim_IntList", "amax.default", "amin.default",
    "linalg_vector_norm.default",
})  # fmt: skip
"""Operators along axes that their argument dim names, of which the result may lack them."""
_ELEMENTWISE = frozenset({
    "relu.default", "gelu.default", "silu.default", "tanh.default", "sigmoid.default",
    "neg.default", "exp.default", "sqrt.default", "rsqrt.default", "pow.Tensor_Scalar",
    "add.Tensor", "sub.Tensor", "rsub.Scalar", "mul.Tensor", "div.Tensor", "dropout.default",
    "clone.default", "contiguous.default", "alias.default", "detach.default", "to.dtype",
    "to.device", "to.dtype_layout", "_to_copy.default", "type_as.default", "masked_fill.Scalar",
    "_assert_tensor_metadata.default", "hardswish.default", "hardtanh.default",
    "clamp.default", "clamp_min.default", "expand_as.default", "clamp_max.default",
    "abs.default", "cos.default", "erf.default", "floor.default", "hardsigmoid.default",
    "log.default", "logical_and.default", "logical_not.default", "logical_or.default",
    "mish.default", "reciprocal.default", "round.default", "sin.default", "softplus.default",
    "leaky_relu.default", "elu.default", "where.self", "eq.Tensor", "ne.Tensor", "gt.Tensor",
    "ge.Tensor", "lt.Tensor", "le.Tensor", "eq.Scalar", "ne.Scalar", "gt.Scalar", "ge.Scalar",
    "lt.Scalar", "le.Scalar", "maximum.default", "minimum.default", "square.default",
    "relu6.default", "zeros_like.default", "ones_like.default", "full_like.default",
})  # fmt: skip
"""Operators that work on each element, or on pairs of elements of shapes that are broadcast."""
_ROWS: Mapping[str, Mapping[str, int]] = {
    "linear.default": {"input": 1},
    "addmm.default": {"mat1": 1},
    "mm.default": {"self": 1},
    "layer_norm.default": {"input": 1},
    "matmul.default": {"self": 1, "other": 2},
    "bmm.default": {"self": 2, "mat2": 2},
    "baddbmm.default": {"self": 2, "batch1": 2, "batch2": 2},
    "scaled_dot_product_attention.default": {"query": 2, "key": 2, "value": 2, "attn_mask": 2},
}
"""Operators on the last axes, with how many of each operand must be none of the samples."""
_KEEPING_CONSTANTS = frozenset({
    "linear.default", "addmm.default", "mm.default", "layer_norm.default",
})  # fmt: skip
"""Those whose constants are weights, which are not broadcast."""
_BATCH_NORMS = frozenset({"batch_norm.default", "_native_batch_norm_legit_no_training.default"})
_FILLING = frozenset({
    "new_ones.default", "new_zeros.default", "ones.default", "zeros.default", "full.default",
})  # fmt: skip
_COPYING = frozenset({
    "contiguous.default", "reshape.default", "flatten.using_ints", "reshape_as.default",
})  # fmt: skip
"""Operators that copy what does not lie in memory as they need it, and else return a view."""
_CONCATENATION = "cat.default"
_LOOKUP = "embedding.default"
_ENDLESS = 1 << 31
"""What files state as the end of a slice that has none; no batch is that large."""
_SIZE = "sym_size.int"

Rearranged = Activation | Joined | None


def apply(
    assembly: Assembly, origin: Origin, operator: Operator, arguments: Mapping[str, Value]
) -> list[Operand | None]:
    """Adds a call to a model, of which any argument may be Joined.

    What may be a copy of the value that it was made from is noted to be one.

    Args:
        assembly: The model.
        origin: Where the call stands.
        operator: What is called.
        arguments: What it is called with.

    Raises:
        UnsupportedCase: The operator may mix samples.
    """
    results = list(
        assembly.trained.through(
            arguments.values(), lambda: _applied(assembly, origin, operator, arguments)
        )
    )
    if operator.name not in _COPYING and arguments.get("memory_format") is None:
        return results
    return [
        replace(value, value=assembly.perhaps_copied(value.value))
        if isinstance(value, Joined)
        else assembly.perhaps_copied(value)
        if isinstance(value, Activation)
        else value
        for value in results
    ]


def _applied(
    assembly: Assembly, origin: Origin, operator: Operator, arguments: Mapping[str, Value]
) -> list[Operand | None]:
    rearrange, is_filling = _REARRANGING.get(operator.name), operator.name in _FILLING
    has_joined = any(map(_has_joined, arguments.values()))
    if not has_joined and not rearrange and not is_filling:
        return assembly.apply(origin, operator.call(arguments, assembly))
    operator.check(arguments)
    arranger = Arranger(assembly, origin)
    moved = rearrange(arranger, arguments) if rearrange else None
    if is_filling:
        moved = _filled(arranger, operator, arguments)
    if moved is not None:
        return [moved]
    if not has_joined:
        return assembly.apply(origin, operator.call(arguments, assembly))
    source = arguments.get("self")
    if operator.name == _SIZE and isinstance(source, Joined):
        axis = arguments.get("dim")
        return [size(source, axis if isinstance(axis, int) else 0)]
    if operator.is_in_place:
        raise UnsupportedCase(f"writing to {JOINED_SAMPLES}")
    call = _bound(arranger, operator, arguments)
    if operator.name in _BATCH_NORMS:
        operator = replace(operator, lower=batch_norm_of_joined)
    results = assembly.apply(origin, operator.call(call.arguments, assembly))
    return [
        arranger.plain(Joined(value, call.axes_of(value)))
        if isinstance(value, Activation)
        else value
        for value in results
    ]


def _has_joined(value: Value) -> bool:
    if isinstance(value, tuple):
        return any(isinstance(item, Joined) for item in value)
    return isinstance(value, Joined)


def _flat(arguments: Mapping[str, Value]) -> list[Value]:
    """Returns all arguments, and in place of lists what is in them."""
    return [
        item
        for value in arguments.values()
        for item in (value if isinstance(value, tuple) else (value,))
    ]


@dataclass(frozen=True, slots=True)
class Bound:
    """A call on values [N, ...].

    Attributes:
        arguments: What the operator is called with.
        axes_of: Tells which axes of a result the file sees where.
    """

    arguments: Mapping[str, Value]
    axes_of: Callable[[Activation], Axes]


def _bound(arranger: Arranger, operator: Operator, arguments: Mapping[str, Value]) -> Bound:
    name = operator.name
    if name in _ALONG_AXES:
        return _along_axes(arranger, operator, arguments)
    if name == _LOOKUP:
        return _looked_up(arguments)
    if name in _ELEMENTWISE:
        return _alone(arguments) or _together(arranger, name, arguments)
    if name in _ROWS or name in _BATCH_NORMS or name == _CONCATENATION:
        return _together(arranger, name, arguments)
    raise UnsupportedCase(JOINED_SAMPLES)


def _along_axes(arranger: Arranger, operator: Operator, arguments: Mapping[str, Value]) -> Bound:
    """Binds an operator along axes, none of which may be that of the samples."""
    source = arguments["self"]
    assert isinstance(source, Joined), "such an operator has no other tensors"
    defaults = {parameter.name: parameter.default for parameter in operator.parameters}
    stated = arguments.get("dim", defaults["dim"])
    items = stated if isinstance(stated, tuple) else (stated,)
    named = [axis_of(item, len(source.axes)) for item in items if isinstance(item, int)]
    if not named or len(named) != len(items):
        raise UnsupportedCase("an operator over all axes of joined samples")
    if any(0 in source.axes[axis] for axis in named):
        raise UnsupportedCase("an axis of the samples")
    if any(len(source.axes[axis]) != 1 for axis in named):
        lined = arranger.lined(source)
        source = lined.seen(lined.value)
    meant = [source.axes[axis][0] for axis in named]
    value, axes = source.value, source.axes

    def axes_of(result: Activation) -> Axes:
        return axes if len(result.shape) == len(value.shape) else without(axes, meant)

    dims: Value = tuple(meant) if isinstance(stated, tuple) else meant[0]
    return Bound({**arguments, "self": value, "dim": dims}, axes_of)


def _looked_up(arguments: Mapping[str, Value]) -> Bound:
    """Binds a lookup of rows, which become a last axis of the indices."""
    indices = arguments["indices"]
    if not isinstance(indices, Joined):
        raise UnsupportedCase(JOINED_SAMPLES)
    axes = (*indices.axes, (len(indices.value.shape),))
    return Bound({**arguments, "indices": indices.value}, lambda _: axes)


def _alone(arguments: Mapping[str, Value]) -> Bound | None:
    """Binds a function of the elements of one value, whatever its arrangement; None for others."""
    tensors = [value for value in _flat(arguments) if isinstance(value, _TENSORS)]
    first = tensors[0]
    if len(tensors) != 1 or not isinstance(first, Joined):
        return None
    bound = {key: first.value if value is first else value for key, value in arguments.items()}
    axes = first.axes
    return Bound(bound, lambda _: axes)


_TENSORS = (Activation, Joined, Weight, Constant)


def _together(arranger: Arranger, name: str, arguments: Mapping[str, Value]) -> Bound:
    """Binds an operator of several values, all of which must have the samples in one place."""
    tensors = [value for value in _flat(arguments) if isinstance(value, _TENSORS)]
    keeps = name in _KEEPING_CONSTANTS or name in _BATCH_NORMS
    counted = [item for item in tensors if not keeps or isinstance(item, Activation | Joined)]
    rank = max(map(_rank, counted))
    lined = {
        id(value): _padded(arranger, value, rank)
        for value in tensors
        if isinstance(value, Joined) or (isinstance(value, Activation) and None in value.shape)
    }
    first = next(iter(lined.values()))
    if any(
        (other.place, other.before, other.behind, other.joined_extents)
        != (first.place, first.before, first.behind, first.joined_extents)
        for other in lined.values()
    ):
        raise UnsupportedCase("samples that are joined with different axes")
    _check_rows(name, arguments, first)

    def bind(value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(map(bind, value))
        if id(value) in lined:
            return lined[id(value)].value
        if isinstance(value, Activation):
            raise UnsupportedCase("samples that are joined with different axes")
        is_matrix = (
            name == "matmul.default"
            and isinstance(value, Weight | Constant)
            and (len(value.shape) == 2)
        )
        if isinstance(value, Weight | Constant) and not keeps and not is_matrix:
            return _spread(arranger, value, first)
        return value

    bound = {key: bind(value) for key, value in arguments.items()}
    if name == _CONCATENATION:
        axis = arguments.get("dim", 0)
        bound["dim"] = first.axis(axis_of(axis if isinstance(axis, int) else 0, rank))
    return Bound(bound, lambda result: first.seen(result).axes)


def _rank(value: Activation | Joined | Weight | Constant) -> int:
    return len(value.axes) if isinstance(value, Joined) else len(value.shape)


def _padded(arranger: Arranger, value: Activation | Joined, rank: int) -> Lined:
    """Returns a value in line, with axes of one element in front up to a number of axes."""
    seen = value if isinstance(value, Joined) else as_seen(value)
    missing = rank - len(seen.axes)
    return arranger.lined(Joined(seen.value, ((),) * missing + seen.axes))


def _check_rows(name: str, arguments: Mapping[str, Value], lined: Lined) -> None:
    """Refuses operators of the last axes where the samples are among these."""
    behind = lined.rank - 1 - lined.place
    if name in _BATCH_NORMS and (lined.place or lined.rank != 2):
        raise UnsupportedCase(JOINED_SAMPLES)
    for operand, count in _ROWS.get(name, {}).items():
        value = arguments.get(operand)
        if isinstance(value, Activation | Joined) and behind < count:
            raise UnsupportedCase("an axis of the samples")
    other = arguments.get("other")
    is_matrix = isinstance(other, Weight | Constant) and len(other.shape) == 2
    if name == "matmul.default" and behind < 2 and not is_matrix:
        raise UnsupportedCase("an axis of the samples")


def _spread(
    arranger: Arranger, value: Weight | Constant, lined: Lined
) -> Weight | Constant | Activation:
    """Returns a constant with its axes where a value has them, the same for all samples."""
    behind = lined.rank - 1 - lined.place
    at = len(value.shape) - 1 - behind
    if at < 0:
        return value
    if value.shape[at] != 1:
        raise UnsupportedCase("a constant along samples that are joined with another axis")
    front, back = value.shape[:at], value.shape[at + 1 :]
    missing = lined.place - len(front)
    ones = (1,) * (lined.before + lined.behind)
    return arranger.constant(value, (1, *(1,) * missing, *front, *ones, *back))


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


def _filled(arranger: Arranger, operator: Operator, arguments: Mapping[str, Value]) -> Rearranged:
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
    lined = _padded(arranger, source, len(wanted))
    stated = wanted[lined.place]
    if stated not in (-1, sizes(lined.seen(lined.value))[lined.place]):
        raise UnsupportedCase("an axis of the samples")
    kept = (-1,) * (lined.before + lined.behind)
    target = (-1, *wanted[: lined.place], *kept, *wanted[lined.place + 1 :])
    result = arranger.expanded(lined.value, target)
    return arranger.plain(lined.seen(result))


_REARRANGING: Mapping[str, Callable[[Arranger, Mapping[str, Value]], Rearranged]] = {
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
