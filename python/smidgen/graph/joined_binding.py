"""Binds the arguments of calls on Joined values to values [N, ...]. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smidgen.graph.arguments import (
    JOINED_SAMPLES,
    Activation,
    Constant,
    Joined,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.arrangement import Arranger, Axes, Lined, padded, without
from smidgen.graph.axis_numbers import axis_of
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
BATCH_NORMS = frozenset({"batch_norm.default", "_native_batch_norm_legit_no_training.default"})
_CONCATENATION = "cat.default"
_LOOKUP = "embedding.default"


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


def bind_call(arranger: Arranger, operator: Operator, arguments: Mapping[str, Value]) -> Bound:
    """Binds a call, of which at least one argument is Joined.

    Raises:
        UnsupportedCase: The operator may mix samples.
    """
    name = operator.name
    if name in _ALONG_AXES:
        return _along_axes(arranger, operator, arguments)
    if name == _LOOKUP:
        return _looked_up(arguments)
    if name in _ELEMENTWISE:
        return _alone(arguments) or _together(arranger, name, arguments)
    if name in _ROWS or name in BATCH_NORMS or name == _CONCATENATION:
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
    keeps = name in _KEEPING_CONSTANTS or name in BATCH_NORMS
    counted = [item for item in tensors if not keeps or isinstance(item, Activation | Joined)]
    rank = max(map(_rank, counted))
    lined = {
        id(value): padded(arranger, value, rank)
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


def _check_rows(name: str, arguments: Mapping[str, Value], lined: Lined) -> None:
    """Refuses operators of the last axes where the samples are among these."""
    behind = lined.rank - 1 - lined.place
    if name in BATCH_NORMS and (lined.place or lined.rank != 2):
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
