"""Values whose first axis joins the samples with a second axis. Needs no torch.

Many models treat the tokens of all samples, the heads of an attention or the windows of an image as
samples of their own: they view [N, k, ...] as [N * k, ...], compute, and view it back. Here such a
value keeps its two axes; the file's axes behind the first one are those one further on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    BatchMultiple,
    BatchSize,
    Constant,
    Joined,
    Operand,
    UnsupportedCase,
    Value,
    Weight,
)
from smidgen.graph.assembly import Assembly, Origin
from smidgen.graph.lowering import Reshaped, axis_of, batch_norm_of_joined
from smidgen.graph.operations import Shape
from smidgen.graph.operator import Operator
from smidgen.graph.shapes import show

_VIEWS = {"view.default": "size", "_unsafe_view.default": "size", "reshape.default": "shape"}
_FLATTEN = "flatten.using_ints"
_RESHAPE_AS = "reshape_as.default"
_AXES = {
    "transpose.int": ("dim0", "dim1"),
    **dict.fromkeys(
        (
            "softmax.int", "_softmax.default", "slice.Tensor", "select.int", "squeeze.dim",
            "squeeze.dims", "unsqueeze.default", "log_softmax.int", "chunk.default",
            "split.Tensor", "split_with_sizes.default",
            "unbind.int", "mean.dim", "sum.dim_IntList", "linalg_vector_norm.default",
        ),
        ("dim",),
    ),
}  # fmt: skip
"""Operators that name axes, by the arguments that do."""
_PERMUTE = "permute.default"
_UNSQUEEZE = "unsqueeze.default"
_MATMUL = "matmul.default"
_ELEMENTWISE = frozenset({
    "relu.default", "gelu.default", "silu.default", "tanh.default", "sigmoid.default",
    "neg.default", "exp.default", "sqrt.default", "rsqrt.default", "pow.Tensor_Scalar",
    "add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "dropout.default", "clone.default",
    "contiguous.default", "alias.default", "detach.default", "to.dtype", "masked_fill.Scalar",
    "linear.default", "addmm.default", "mm.default", "matmul.default", "bmm.default",
    "baddbmm.default", "layer_norm.default", "scaled_dot_product_attention.default",
    "_assert_tensor_metadata.default", "hardswish.default", "hardtanh.default",
    "clamp.default", "clamp_min.default", "expand_as.default", "clamp_max.default",
    "abs.default", "cos.default", "erf.default", "floor.default", "hardsigmoid.default",
    "log.default", "logical_and.default", "logical_not.default", "logical_or.default",
    "mish.default", "reciprocal.default", "round.default", "sin.default", "softplus.default",
    "leaky_relu.default", "elu.default", "where.self", "eq.Tensor", "ne.Tensor", "gt.Tensor",
    "ge.Tensor", "lt.Tensor", "le.Tensor", "maximum.default", "minimum.default",
})  # fmt: skip
"""Operators that work on the last axes or on each element."""
_BATCH_NORMS = frozenset({"batch_norm.default", "_native_batch_norm_legit_no_training.default"})
"""Operators that work on axis 1, which of rows is the last one."""
_PRODUCTS = frozenset({
    "linear.default", "addmm.default", "mm.default", "layer_norm.default",
    *_BATCH_NORMS,
})  # fmt: skip
"""Those of them with constants that do not broadcast."""


def view(name: str, arguments: Mapping[str, Value]) -> tuple[Reshaped, bool] | None:
    """Tells what a view that joins or parts the samples means, and whether its result is joined.

    Args:
        name: The operator's name without the prefix.
        arguments: What it is called with.

    Returns:
        None if the operator is no such view.

    Raises:
        UnsupportedCase: The samples are joined with other than the next axes.
    """
    source = arguments.get("self")
    value = source.value if isinstance(source, Joined) else source
    if not isinstance(value, Activation) or value.shape[:1] != (None,):
        return None
    if name == _FLATTEN:
        sizes = _flattened(value.shape[isinstance(source, Joined) :], arguments)
    elif name == _RESHAPE_AS:
        sizes = _sizes_of(arguments.get("other"))
    elif name in _VIEWS and isinstance(found := arguments.get(_VIEWS[name]), tuple):
        sizes = found
    else:
        return None
    if not sizes:
        return None
    shape = _resolved(value.shape, sizes)
    if not isinstance(source, Joined) and (shape is None or shape[1] == 1):
        return None
    if shape is None:
        raise UnsupportedCase(f"joined samples {show(value.shape)} viewed otherwise")
    is_joined = shape[1] != 1
    return Reshaped(value, shape if is_joined else (None, *shape[2:])), is_joined


def _flattened(shape: Shape, arguments: Mapping[str, Value]) -> tuple[Value, ...]:
    """Returns the sizes that flattening from the first axis on gives; none for others."""
    first, last = arguments.get("start_dim", 0), arguments.get("end_dim", -1)
    if not isinstance(last, int) or first not in (0, -len(shape)):
        return ()
    last = last % len(shape)
    return (-1, *shape[last + 1 :]) if last else ()


def _sizes_of(value: Value) -> tuple[Value, ...]:
    """Returns a value's sizes as the file sees them; none for what is no computed value."""
    if isinstance(value, Joined):
        return (size(value, 0), *value.value.shape[2:])
    if not isinstance(value, Activation) or value.shape[:1] != (None,):
        return ()
    return (BATCH_SIZE, *value.shape[1:])


def _resolved(shape: Shape, sizes: Sequence[Value]) -> Shape | None:
    """Returns [N, k, ...] for sizes [N * k, ...], or None if they are no such sizes."""
    count = math.prod(extent or 1 for extent in shape)
    first, rest = sizes[0], sizes[1:]
    extents = [size for size in rest if isinstance(size, int)]
    if len(extents) != len(rest) or extents.count(-1) > 1 or 0 in extents:
        return None
    known = math.prod(extent for extent in extents if extent != -1)
    if first == -1 and -1 not in extents:
        factor = count // known
    elif isinstance(first, BatchSize | BatchMultiple):
        factor = 1 if isinstance(first, BatchSize) else first.factor
    else:
        return None
    missing = count // (factor * known) if factor else 0
    resolved = tuple(missing if extent == -1 else extent for extent in extents)
    if factor * math.prod(resolved) != count or min(resolved, default=1) < 1:
        return None
    return (None, factor, *resolved)


def apply(
    assembly: Assembly, origin: Origin, operator: Operator, arguments: Mapping[str, Value]
) -> list[Operand | None]:
    """Adds a call to a model, of which any argument may join the samples with another axis.

    Args:
        assembly: The model.
        origin: Where the call stands.
        operator: What is called.
        arguments: What it is called with.

    Raises:
        UnsupportedCase: The operator may mix what is joined.
    """
    viewed = view(operator.name, arguments)
    if viewed is not None:
        lowered, is_joined = viewed
        results = assembly.apply(origin, lowered)
        return [_joined(value) for value in results] if is_joined else results
    if not any(isinstance(value, Joined) for value in arguments.values()):
        return assembly.apply(origin, operator.call(arguments, assembly))
    source = arguments.get("self")
    if operator.name == "sym_size.int" and isinstance(source, Joined):
        axis = arguments.get("dim")
        return [size(source, axis if isinstance(axis, int) else 0)]
    if operator.is_in_place:
        raise UnsupportedCase("writing to samples that are joined with another axis")
    found = parted(operator.name, arguments)
    if operator.name in _BATCH_NORMS:
        operator = replace(operator, lower=batch_norm_of_joined)
    results = assembly.apply(origin, operator.call(found, assembly))
    return [_joined(value) for value in results]


def _joined(value: Operand | None) -> Operand | None:
    return Joined(value) if isinstance(value, Activation) else value


def parted(name: str, arguments: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the arguments of a call as they are for values that keep their two axes.

    Args:
        name: The operator's name without the prefix.
        arguments: What it is called with; at least one is joined.

    Raises:
        UnsupportedCase: The operator may mix what is joined.
    """
    known = (*_AXES, *_ELEMENTWISE, *_BATCH_NORMS, _PERMUTE)
    if name not in known:
        raise UnsupportedCase("samples that are joined with another axis")
    values = [value for value in arguments.values() if isinstance(value, Activation | Joined)]
    factors = {value.value.shape[1] for value in values if isinstance(value, Joined)}
    has_others = any(isinstance(value, Activation) and None in value.shape for value in values)
    if len(factors) != 1 or has_others:
        raise UnsupportedCase("samples that are joined with different axes")
    result = {
        key: value.value if isinstance(value, Joined) else value for key, value in arguments.items()
    }
    (rank,) = {len(value.value.shape) - 1 for value in values if isinstance(value, Joined)} or {0}
    _check_constants(name, arguments.values(), rank)
    if name == _PERMUTE:
        return result | {"dims": _permutation(arguments["dims"])}
    counted = rank + (name == _UNSQUEEZE)
    named = (key for key in _AXES.get(name, ()) if key in arguments)
    return result | {key: _moved(arguments[key], counted) for key in named}


def _check_constants(name: str, values: Iterable[Value], rank: int) -> None:
    """Refuses constants that meet the axis of the joined samples, whose extent is not known."""
    for value in values:
        if name in _PRODUCTS or not isinstance(value, Activation | Weight | Constant):
            continue
        is_matrix = name == _MATMUL and len(value.shape) == 2
        if len(value.shape) > rank or (
            len(value.shape) == rank and value.shape[0] != 1 and not is_matrix
        ):
            raise UnsupportedCase("a constant along samples that are joined with another axis")


def _permutation(dims: Value) -> Value:
    order = [axis for axis in dims if isinstance(axis, int)] if isinstance(dims, tuple) else []
    order = [axis % len(order) for axis in order]
    if order[:1] != [0]:
        raise UnsupportedCase("an axis before the dynamic batch")
    return (0, *(axis + 1 for axis in order))


def _moved(axes: Value, rank: int) -> Value:
    """Counts axes of a number of them from the front, behind both axes that the file joins."""
    if isinstance(axes, tuple):
        return tuple(_moved(axis, rank) for axis in axes)
    if not isinstance(axes, int):
        raise UnsupportedCase("an operator over all axes of joined samples")
    axis = axis_of(axes, rank)
    if axis == 0:
        raise UnsupportedCase("an axis of the samples")
    return axis + 1


def size(value: Joined, axis: int) -> BatchMultiple | int:
    """Returns an extent of a joined value as the file sees it."""
    extents = value.value.shape[1:]
    if not -len(extents) <= axis < len(extents):
        raise ArgumentError(f"it uses axis {axis} of {len(extents)}")
    extent = extents[axis] or 1
    return BatchMultiple(extent) if axis % len(extents) == 0 else extent


def computed_extent(function: str, numbers: Sequence[Value]) -> Value:
    """Returns what arithmetic of extents gives.

    Args:
        function: `mul`, `floordiv`, `add` or `sub`.
        numbers: The two numbers.

    Raises:
        UnsupportedCase: It is neither a number nor a multiple of the batch size.
    """
    if len(numbers) != 2:
        raise UnsupportedCase("arithmetic of other than two extents")
    first, second = numbers
    if isinstance(first, int) and isinstance(second, int) and second:
        return {
            "mul": first * second, "floordiv": first // second, "add": first + second,
            "sub": first - second,
        }[function]  # fmt: skip
    if function == "mul" and isinstance(first, int):
        first, second = second, first
    factor = factor_of(first)
    if factor is not None and isinstance(second, int) and second > 0:
        if function == "mul":
            return _multiple(factor * second)
        if function == "floordiv" and factor % second == 0:
            return _multiple(factor // second)
    if function == "floordiv" and factor is not None and second == BATCH_SIZE:
        return factor
    raise UnsupportedCase("arithmetic of the batch size")


def factor_of(value: Value) -> int | None:
    """Returns how often an extent is the batch size; None for what is a number."""
    if isinstance(value, BatchSize):
        return 1
    return value.factor if isinstance(value, BatchMultiple) else None


def _multiple(factor: int) -> BatchSize | BatchMultiple:
    return BATCH_SIZE if factor == 1 else BatchMultiple(factor)
