"""Calls of layers: convolutions, products, batch normalization, dropout. Needs no torch."""

from __future__ import annotations

from smidgen.graph import operations as ops
from smidgen.graph.arguments import ArgumentError, Arguments, Statistic, UnsupportedCase, Weight
from smidgen.graph.lowered import Computed, Lowered


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


def dropout(x: str, whole_channels: bool, arguments: Arguments) -> Lowered:
    """aten.dropout.default and aten.feature_dropout.default of the argument x."""
    p = arguments.number("p")
    if not 0 <= p <= 1:
        raise ArgumentError(f"it has a dropout probability of {p}")
    operation = ops.Dropout(p, whole_channels)
    # Out of training torch returns the input itself, so writing to the output writes to the input.
    shares = not arguments.flag("train")
    return Computed((operation,), (arguments.activation(x),), shares_storage=shares)
