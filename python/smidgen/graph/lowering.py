"""What a call of an ATen operator means: one function for each family. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    Arguments,
    BatchRange,
    BatchSize,
    Constant,
    Operand,
    PoolIndices,
    Statistic,
    Tensor,
    TypeNumber,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.constant_limit import check_constant
from smidgen.graph.operations import BOOL, FLOAT32, INT64, OpKind, Shape
from smidgen.graph.shapes import element_count, show


@dataclass(frozen=True, slots=True)
class Computed:
    """A new value: the operations one after the other, the first on `inputs`.

    Where all inputs are constants, so is the value, and it is evaluated at once.

    Attributes:
        operations: At least one.
        inputs: What the first of them reads; values that must be computed for it among them.
        shares_storage: The file's operator may return its first input itself.
        is_part: It is one of several parts of its first input, which have no element in common.
        statistics: The operator's further outputs; None for those that cannot be used.
    """

    operations: tuple[ops.Operation, ...]
    inputs: tuple[Tensor | Computed, ...]
    shares_storage: bool = False
    is_part: bool = False
    statistics: tuple[Statistic | PoolIndices | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Reshaped:
    """The same elements in another shape, perhaps in the same memory."""

    input: Tensor
    shape: Shape


@dataclass(frozen=True, slots=True)
class Forwarded:
    """The first input itself, or a copy of it."""

    operand: Operand
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """The call has no output and no effect."""


@dataclass(frozen=True, slots=True)
class Several:
    """A value for each output of the call."""

    parts: tuple[Computed | Reshaped | Forwarded, ...]


Lowered: TypeAlias = "Computed | Reshaped | Forwarded | Several | Nothing"


def unary(kind: OpKind) -> ops.Unary:
    """Makes a function of one number without parameters."""
    return ops.Unary(kind)


def conv2d(arguments: Arguments) -> Lowered:
    """aten.conv2d.default."""
    return _convolution(arguments, arguments.pair("padding"))


def conv2d_padding(arguments: Arguments) -> Lowered:
    """aten.conv2d.padding, whose padding is the word valid or same."""
    if arguments["padding"] == "valid":
        return _convolution(arguments, (0, 0))
    if arguments["padding"] != "same":
        raise ArgumentError("its padding is neither 'valid' nor 'same'")
    dilation = arguments.pair("dilation")
    weight = arguments.weight("weight")
    totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=False)]
    if len(totals) != 2 or any(total % 2 for total in totals):
        raise UnsupportedCase("padding 'same' with an even kernel, which pads one side more")
    return _convolution(arguments, (totals[0] // 2, totals[1] // 2))


def _convolution(arguments: Arguments, padding: ops.Pair) -> Computed:
    convolution = ops.Conv2d(
        arguments.plain_weight("weight"),
        arguments.optional_weight("bias"),
        arguments.pair("stride"),
        padding,
        arguments.pair("dilation"),
        arguments.integer("groups"),
    )
    return Computed((convolution,), (arguments.activation("input"),))


def linear(arguments: Arguments) -> Lowered:
    """aten.linear.default."""
    return _linear(arguments, "input", "weight", "bias", is_transposed=False)


def addmm(arguments: Arguments) -> Lowered:
    """aten.addmm.default: bias + x @ weight."""
    if arguments.number("beta") != 1 or arguments.number("alpha") != 1:
        raise UnsupportedCase("alpha and beta other than 1")
    return _linear(arguments, "mat1", "mat2", "self", is_transposed=True)


def matmul(arguments: Arguments) -> Lowered:
    """aten.mm.default: x @ weight."""
    return _linear(arguments, "self", "mat2", None, is_transposed=True)


def product(second: str, arguments: Arguments) -> Lowered:
    """aten.matmul.default and aten.bmm.default: x @ weight, or of two computed values."""
    other = arguments[second]
    if isinstance(other, Weight) and len(other.shape) == 2:
        return _linear(arguments, "self", second, None, is_transposed=True)
    inputs = (arguments.tensor("self"), arguments.tensor(second))
    if min(len(value.shape) for value in inputs) < 2:
        raise UnsupportedCase("a product with a vector")
    return Computed((ops.MatMul(),), inputs)


def _linear(
    arguments: Arguments, x: str, weight_name: str, bias: str | None, *, is_transposed: bool
) -> Computed:
    weight, value = arguments.weight(weight_name), arguments.tensor(x)
    if len(value.shape) < 2 or len(weight.shape) != 2:
        raise UnsupportedCase(f"a product of {len(value.shape)} by {len(weight.shape)} dimensions")
    operation = ops.Linear(
        weight.name,
        arguments.optional_weight(bias) if bias else None,
        weight.is_transposed != is_transposed,
    )
    if len(value.shape) != 4:
        return Computed((operation,), (value,))
    # Four axes are those of images, whose channels come second.
    batch, rows, columns, features = value.shape
    outputs = weight.shape[operation.is_transposed]
    operations = (
        ops.Reshape((batch, (rows or 1) * (columns or 1), features)),
        operation,
        ops.Reshape((batch, rows, columns, outputs)),
    )
    return Computed(operations, (value,))


def batch_norm(arguments: Arguments) -> Lowered:
    """aten.batch_norm.default and the forms of it that decomposition gives.

    Whether it was exported in training mode does not matter: the graph's own mode decides.
    """
    return _batch_norm(arguments, channels_last=False)


def batch_norm_of_joined(arguments: Arguments) -> Lowered:
    """The same of rows [N * k, C], which are kept as [N, k, C]."""
    return _batch_norm(arguments, channels_last=True)


def _batch_norm(arguments: Arguments, *, channels_last: bool) -> Lowered:
    mean, variance = (_running(arguments, f"running_{name}") for name in ("mean", "var"))
    weight, bias = arguments.optional_weight("weight"), arguments.optional_weight("bias")
    if mean is None or variance is None:
        raise UnsupportedCase("batch normalization without running statistics")
    if (weight is None) != (bias is None):
        raise UnsupportedCase("batch normalization with one of weight and bias alone")
    momentum, eps = arguments.number("momentum"), arguments.number("eps")
    if not 0 <= momentum <= 1 or eps < 0:
        raise ArgumentError(f"it has momentum {momentum} and eps {eps}")
    value = arguments.activation("input")
    if len(value.shape) not in ((3,) if channels_last else (2, 4)):
        raise UnsupportedCase(f"batch normalization of {len(value.shape)} dimensions")
    operation = ops.BatchNorm(weight, bias, mean, variance, momentum, eps, channels_last)
    statistics = (None, None, Statistic(mean), Statistic(variance))
    return Computed((operation,), (value,), statistics=statistics)


def _running(arguments: Arguments, name: str) -> str | None:
    """Returns the buffer of a statistic; a second call of a module reads what the first gave."""
    value = arguments[name]
    return value.buffer if isinstance(value, Statistic) else arguments.optional_weight(name)


def clamp(arguments: Arguments) -> Lowered:
    """aten.clamp.default, aten.clamp_min.default, aten.clamp_max.default."""
    bounds = arguments.optional_number("min"), arguments.optional_number("max")
    return Computed((_clamp(*bounds),), (arguments.tensor("self"),))


def hardtanh(arguments: Arguments) -> Lowered:
    """aten.hardtanh.default; ReLU6 is written so."""
    bounds = arguments.number("min_val"), arguments.number("max_val")
    return Computed((_clamp(*bounds),), (arguments.activation("self"),))


def _clamp(minimum: float | None, maximum: float | None) -> ops.Operation:
    if minimum is None and maximum is None:
        raise ArgumentError("it has neither a minimum nor a maximum")
    if minimum is not None and maximum is not None and minimum >= maximum:
        raise UnsupportedCase(f"a minimum of {minimum} with a maximum of {maximum}")
    if minimum == 0 and maximum is None:
        return ops.Unary(OpKind.RELU)
    if minimum == 0 and maximum == 6:
        return ops.Unary(OpKind.RELU6)
    return ops.Clamp(minimum, maximum)


def gelu(arguments: Arguments) -> Lowered:
    """aten.gelu.default."""
    approximate = arguments["approximate"]
    if approximate not in ("none", "tanh"):
        raise ArgumentError("its approximation is neither 'none' nor 'tanh'")
    return Computed((ops.Gelu(str(approximate)),), (arguments.activation("self"),))


def leaky_relu(arguments: Arguments) -> Lowered:
    """aten.leaky_relu.default."""
    operation = ops.LeakyRelu(arguments.number("negative_slope"))
    return Computed((operation,), (arguments.activation("self"),))


def elu(arguments: Arguments) -> Lowered:
    """aten.elu.default."""
    if arguments.number("scale") != 1 or arguments.number("input_scale") != 1:
        raise UnsupportedCase("a scale other than 1")
    return Computed((ops.Elu(arguments.number("alpha")),), (arguments.activation("self"),))


def add(arguments: Arguments) -> Lowered:
    """aten.add.Tensor: of two values, or of one to the counter of a batch normalization."""
    first, second = arguments["self"], arguments["other"]
    is_counter = isinstance(first, Weight) and first.dtype == "int64" and not first.shape
    if isinstance(first, Weight) and is_counter and second == 1:
        return Forwarded(Statistic(first.name))
    if isinstance(first, Statistic) and second == 1:
        return Forwarded(first)
    if arguments.number("alpha") != 1:
        raise UnsupportedCase("alpha other than 1")
    return Computed((ops.Add(),), operand_pair(arguments))


def operand_pair(arguments: Arguments) -> tuple[Tensor | Computed, Tensor | Computed]:
    """Returns self and other with one element type; one of them may be a number."""
    if isinstance(arguments["other"], int | float):
        return _with_number(arguments, "self", "other")
    if isinstance(arguments["self"], int | float):
        second, number = _with_number(arguments, "other", "self")
        return number, second
    first, second = arguments.tensor("self"), arguments.tensor("other")
    for dtype in (FLOAT32, INT64, BOOL):
        if dtype in (first.dtype, second.dtype):
            return _cast(first, dtype), _cast(second, dtype)
    raise UnsupportedCase(f"operands of type {first.dtype} and {second.dtype}")


def _with_number(
    arguments: Arguments, tensor: str, number: str
) -> tuple[Tensor | Computed, Constant]:
    """Returns a tensor and a number as a constant, with one element type."""
    value, stated = arguments.tensor(tensor), arguments[number]
    exact = stated if isinstance(stated, int) else arguments.number(number)
    if isinstance(stated, float) and value.dtype != FLOAT32:
        return _cast(value, FLOAT32), Constant(np.array(exact, np.float32))
    return value, Constant(np.array(exact, value.dtype))


def _cast(value: Tensor, dtype: str) -> Tensor | Computed:
    return value if value.dtype == dtype else Computed((ops.Cast(dtype),), (value,))


def multiply(arguments: Arguments) -> Lowered:
    """aten.mul.Tensor."""
    return Computed((ops.Multiply(),), operand_pair(arguments))


def concat(arguments: Arguments) -> Lowered:
    """aten.cat.default."""
    inputs = arguments.tensors("tensors")
    axis = axis_of(arguments.integer("dim"), len(inputs[0].shape))
    if any(value.shape[axis : axis + 1] == (None,) for value in inputs):
        raise UnsupportedCase("concatenation along the dynamic batch")
    return Computed((ops.Concat(axis),), inputs)


def max_pool(arguments: Arguments) -> Lowered:
    """aten.max_pool2d.default and aten.max_pool2d_with_indices.default."""
    operation = ops.MaxPool(
        *_pool_geometry(arguments), arguments.pair("dilation"), arguments.flag("ceil_mode")
    )
    value = arguments.activation("self")
    is_plain = operation.padding == (0, 0) and operation.dilation == (1, 1)
    window = operation.kernel if operation.kernel == operation.stride else None
    indices = PoolIndices(value, window if is_plain else None)
    return Computed((operation,), (value,), statistics=(indices,))


def average_pool(arguments: Arguments) -> Lowered:
    """aten.avg_pool2d.default."""
    if arguments["divisor_override"] is not None:
        raise UnsupportedCase("an overridden divisor")
    operation = ops.AveragePool(
        *_pool_geometry(arguments), arguments.flag("ceil_mode"), arguments.flag("count_include_pad")
    )
    return Computed((operation,), (arguments.activation("self"),))


def _pool_geometry(arguments: Arguments) -> tuple[ops.Pair, ops.Pair, ops.Pair]:
    kernel = arguments.pair("kernel_size")
    stride = arguments.pair("stride") if arguments.integers("stride") else kernel
    return kernel, stride, arguments.pair("padding")


def adaptive_average_pool(arguments: Arguments) -> Lowered:
    """aten.adaptive_avg_pool2d.default."""
    value = arguments.activation("self")
    wanted, found = arguments.pair("output_size"), value.shape[2:]
    if len(value.shape) != 4 or min(wanted) < 1:
        raise ArgumentError(f"it has output size {wanted} for the shape {show(value.shape)}")
    if wanted == (1, 1):
        return Computed((ops.GlobalAveragePool(),), (value,))
    if wanted == found:
        return Forwarded(value, is_copy=True)
    sizes = [size or 1 for size in found]
    if any(size % parts for size, parts in zip(sizes, wanted, strict=True)):
        return _uneven_average(value, wanted)
    kernel = (sizes[0] // wanted[0], sizes[1] // wanted[1])
    return Computed((ops.AveragePool(kernel, kernel),), (value,))


def _uneven_average(value: Activation, wanted: ops.Pair) -> Computed:
    """Averages over windows of different sizes by products with matrices of their shares."""
    rows, columns = (
        shares(extent or 1, parts) for extent, parts in zip(value.shape[2:], wanted, strict=True)
    )
    narrowed = Computed((ops.MatMul(),), (value, Constant(np.ascontiguousarray(columns.T))))
    return Computed((ops.MatMul(),), (Constant(rows), narrowed))


def shares(extent: int, parts: int) -> NDArray[np.float32]:
    """Returns the matrix [parts, extent] of averages over adaptive windows."""
    check_constant(parts, extent)
    matrix = np.zeros((parts, extent), np.float32)
    for part in range(parts):
        start, stop = part * extent // parts, -(-(part + 1) * extent // parts)
        matrix[part, start:stop] = 1.0 / (stop - start)
    return matrix


def mean(arguments: Arguments) -> Lowered:
    """aten.mean.dim; over height and width of images it is global average pooling."""
    value = arguments.activation("self")
    if len(value.shape) != 4 or _axes(arguments, "dim", 4) != {2, 3}:
        return reduce("mean", arguments)
    pooled: tuple[ops.Operation, ...] = (ops.GlobalAveragePool(),)
    return Computed(pooled if arguments.flag("keepdim") else (*pooled, ops.Flatten()), (value,))


def reduce(function: str, arguments: Arguments) -> Lowered:
    """aten.sum.dim_IntList, aten.mean.dim and aten.amax.default, over axes behind the batch."""
    value = arguments.tensor("self")
    if "dtype" in arguments and arguments["dtype"] is not None:
        raise UnsupportedCase("a reduction in another element type")
    return _reduction(function, value, arguments)


def _reduction(function: str, value: Tensor | Computed, arguments: Arguments) -> Computed:
    shape = arguments.tensor("self").shape
    axes = _axes(arguments, "dim", len(shape)) or set(range(len(shape)))
    if 0 in axes:
        raise UnsupportedCase("a reduction over the samples")
    operation = ops.Reduce(function, tuple(sorted(axes)), arguments.flag("keepdim"))
    return Computed((operation,), (value,))


def vector_norm(arguments: Arguments) -> Lowered:
    """aten.linalg_vector_norm.default of order 2."""
    value = arguments.tensor("self")
    if arguments.number("ord") != 2 or arguments["dtype"] is not None:
        raise UnsupportedCase("a norm of an order other than 2, or in another element type")
    square = Computed((ops.Multiply(),), (value, value))
    summed = _reduction("sum", square, arguments)
    return Computed((*summed.operations, ops.Unary(OpKind.SQRT)), summed.inputs)


def dropout(x: str, whole_channels: bool, arguments: Arguments) -> Lowered:
    """aten.dropout.default and aten.feature_dropout.default of the argument x."""
    p = arguments.number("p")
    if not 0 <= p <= 1:
        raise ArgumentError(f"it has a dropout probability of {p}")
    operation = ops.Dropout(p, whole_channels)
    # Out of training torch returns the input itself, so writing to the output writes to the input.
    shares = not arguments.flag("train")
    return Computed((operation,), (arguments.activation(x),), shares_storage=shares)


def forward(arguments: Arguments) -> Lowered:
    """aten.alias.default and aten.detach.default."""
    return Forwarded(arguments.tensor("self"))


def contiguous(arguments: Arguments) -> Lowered:
    """aten.contiguous.default, which copies what is not in order."""
    value = arguments.tensor("self")
    is_copy = isinstance(value, Constant) and not value.array.flags.c_contiguous
    return Forwarded(value, is_copy=is_copy)


def clone(arguments: Arguments) -> Lowered:
    """aten.clone.default."""
    return Forwarded(arguments.tensor("self"), is_copy=True)


def to_dtype(arguments: Arguments) -> Lowered:
    """aten.to.dtype, aten.to.device and aten.to.dtype_layout."""
    dtype, value = arguments["dtype"], arguments.tensor("self")
    name = dtype.name if isinstance(dtype, TypeNumber) else value.dtype
    name = INT64 if name == "int32" else name  # a position that int32 holds is no other in int64
    if name == value.dtype:
        return Forwarded(value, is_copy=arguments.flag("copy"))
    if name not in (FLOAT32, INT64, BOOL):
        raise UnsupportedCase(f"a change of the element type to {name}")
    return Computed((ops.Cast(name),), (value,))


def nothing(arguments: Arguments) -> Lowered:
    """Assertions: what they assert is checked here in any case."""
    return Nothing()


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
    axes = set(range(rank)) if arguments["dim"] is None else _axes(arguments, "dim", rank)
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


def axis_of(axis: int, rank: int) -> int:
    """Returns an axis counted from the front."""
    if not -rank <= axis < rank:
        raise ArgumentError(f"it uses axis {axis} of {rank}")
    return axis % rank


def distinct_axes(axes: Sequence[int], rank: int) -> list[int]:
    """Returns axes counted from the front, in their order.

    Raises:
        ArgumentError: There is no such axis, or one is there twice, which neither torch nor ONNX
            allows.
    """
    found: dict[int, None] = {}
    for axis in axes:  # which ends at the first that is wrong, after `rank` at most
        if axis_of(axis, rank) in found:
            raise ArgumentError(f"it uses axis {axis} of {rank} twice")
        found[axis_of(axis, rank)] = None
    return list(found)


def _axes(arguments: Arguments, name: str, rank: int) -> set[int]:
    return set(distinct_axes(arguments.integers(name), rank))
