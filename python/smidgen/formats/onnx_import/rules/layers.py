"""ONNX operators with weights: convolutions, products, normalizations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen.formats.onnx_import.call import Call, Result, extents_as_seen
from smidgen.formats.onnx_import.rules.windows import padded, padding_mode, window_of
from smidgen.graph.arguments import (
    Activation,
    ArgumentError,
    Constant,
    Joined,
    Tensor,
    UnsupportedCase,
    Weight,
)
from smidgen.graph.shapes import ShapeError


def weight_of(call: Call, index: int) -> Weight:
    """Returns a constant operand as a weight of the model."""
    value = call.input(index)
    if isinstance(value, Activation):
        raise UnsupportedCase(f"its operand {index} is computed, expected a constant")
    return call.assembly.as_weight(value)


def _optional_weight(call: Call, index: int) -> Weight | None:
    return weight_of(call, index) if call.has(index) else None


def conv(call: Call) -> Sequence[Result]:
    """Conv of images or signals."""
    weight = weight_of(call, 1)
    if len(weight.shape) == 3:
        return _conv_of_signals(call, weight)
    if len(weight.shape) != 4:
        raise UnsupportedCase(f"a convolution of {len(weight.shape) - 2} dimensions")
    window = window_of(call, weight.shape[2:])
    value, padding = padded(call, call.input(0), window)
    return call.aten(
        "convolution.default",
        input=value,
        weight=weight,
        bias=_optional_weight(call, 2),
        stride=window.stride,
        padding=padding,
        dilation=window.dilation,
        groups=call.integer("group", 1),
    )


def _conv_of_signals(call: Call, weight: Weight) -> Sequence[Result]:
    """Conv along one axis."""
    lengths = {
        name: call.integers(name) or default
        for name, default in (("strides", (1,)), ("dilations", (1,)), ("pads", (0, 0)))
    }
    before, behind = lengths["pads"] if len(lengths["pads"]) == 2 else (-1, -1)
    kernel = call.integers("kernel_shape") or weight.shape[2:]
    if min(before, behind) < 0 or tuple(kernel) != weight.shape[2:]:
        raise ArgumentError(f"it has the pads {lengths['pads']} and the kernel {list(kernel)}")
    if padding_mode(call) not in ("NOTSET", "VALID"):
        raise UnsupportedCase("padding of signals by their length")
    value = call.input(0)
    if before != behind:
        value = call.one("constant_pad_nd.default", self=value, pad=(before, behind))
        before = 0
    return call.aten(
        "conv1d.default",
        input=value,
        weight=weight,
        bias=_optional_weight(call, 2),
        stride=lengths["strides"],
        padding=(before,),
        dilation=lengths["dilations"],
        groups=call.integer("group", 1),
    )


def conv_transpose(call: Call) -> Sequence[Result]:
    """ConvTranspose of images."""
    weight = weight_of(call, 1)
    if len(weight.shape) != 4:
        raise UnsupportedCase(f"a convolution of {len(weight.shape) - 2} dimensions")
    if call.integers("output_shape") is not None or padding_mode(call) != "NOTSET":
        raise UnsupportedCase("a transposed convolution by its output shape")
    window = window_of(call, weight.shape[2:])
    extra = call.integers("output_padding") or (0, 0)
    if len(extra) != 2:
        raise ArgumentError(f"it has the output padding {extra}")
    # What ends later than it begins lacks that much of padding behind.
    extra = tuple(
        more + begin - end
        for more, begin, end in zip(extra, window.begins, window.ends, strict=True)
    )
    return call.aten(
        "conv_transpose2d.input",
        input=call.input(0),
        weight=weight,
        bias=_optional_weight(call, 2),
        stride=window.stride,
        padding=window.begins,
        output_padding=extra,
        groups=call.integer("group", 1),
        dilation=window.dilation,
    )


def gemm(call: Call) -> Sequence[Result]:
    """Gemm: alpha A' B' + beta C."""
    first, second = call.value(0), call.input(1)
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if call.integer("transA", 0):
        first = call.one("t.default", self=first)
    is_transposed = call.integer("transB", 0) != 0
    if isinstance(second, Activation):
        if is_transposed:
            second = call.one("t.default", self=second)
        result = call.one_value("matmul.default", self=first, other=second)
        if alpha != 1:
            result = call.one_value("mul.Tensor", self=result, other=alpha)
        return [_with_addend(call, result, beta)]
    weight = call.assembly.as_weight(second if alpha == 1 else _scaled(second, alpha))
    if len(weight.shape) != 2:
        raise ShapeError(f"it multiplies by a constant of the shape {list(weight.shape)}")
    if not is_transposed:
        transposed = call.one("t.default", self=weight)
        assert isinstance(transposed, Weight)
        weight = transposed
    bias = _bias(call, beta, outputs=weight.shape[1] if weight.is_transposed else weight.shape[0])
    result = call.one_value("linear.default", input=first, weight=weight, bias=bias)
    return [result if bias is not None else _with_addend(call, result, beta)]


def _scaled(value: Weight | Constant, factor: float) -> Constant:
    return Constant((value.array * np.float32(factor)).astype(np.float32))


def _bias(call: Call, beta: float, outputs: int) -> Weight | None:
    """Returns C as a bias where it is one."""
    value = call.optional_input(2)
    if not isinstance(value, Weight | Constant) or value.array.size not in (1, outputs):
        return None
    if value.shape not in ((), (1,), (outputs,), (1, outputs), (1, 1)):
        return None
    flat = np.broadcast_to(value.array.reshape(-1), (outputs,))
    if isinstance(value, Weight) and value.shape == (outputs,) and beta == 1:
        return value
    return call.assembly.as_weight(_scaled(Constant(flat), beta))


def _with_addend(call: Call, value: Tensor | Joined, beta: float) -> Tensor | Joined:
    addend = call.optional_input(2)
    if addend is None or beta == 0:
        return value
    if beta != 1:
        addend = call.one("mul.Tensor", self=addend, other=beta)
    return call.one_value("add.Tensor", self=value, other=addend)


def einsum(call: Call) -> Sequence[Result]:
    """Einsum."""
    operands = tuple(call.input(index) for index in range(len(call.inputs)))
    return call.aten("einsum.default", equation=call.text("equation", ""), tensors=operands)


def matmul(call: Call) -> Sequence[Result]:
    """MatMul."""
    first, second = call.value(0), call.value(1)
    if isinstance(second, Constant) and len(second.shape) == 2:
        second = call.assembly.as_weight(second)
    return call.aten("matmul.default", self=first, other=second)


def batch_normalization(call: Call) -> Sequence[Result]:
    """BatchNormalization by running statistics."""
    if call.integer("training_mode", 0):
        raise UnsupportedCase("a training mode")
    weight, bias, mean, variance = (weight_of(call, index) for index in range(1, 5))
    # ONNX weighs the old statistic by its momentum, torch the new one.
    return call.aten(
        "batch_norm.default",
        input=call.value(0),
        weight=weight,
        bias=bias,
        running_mean=mean,
        running_var=variance,
        training=False,
        momentum=1.0 - call.number("momentum", 0.9),
        eps=call.number("epsilon", 1e-5),
    )[:1]


def instance_normalization(call: Call) -> Sequence[Result]:
    """InstanceNormalization."""
    return call.aten(
        "instance_norm.default",
        input=call.input(0),
        weight=weight_of(call, 1),
        bias=weight_of(call, 2),
        running_mean=None,
        running_var=None,
        use_input_stats=True,
        momentum=0.1,
        eps=call.number("epsilon", 1e-5),
        cudnn_enabled=False,
    )


def group_normalization(call: Call) -> Sequence[Result]:
    """GroupNormalization; before opset 21 its weights are per group."""
    groups, shape = call.integer("num_groups"), call.shape(0)
    channels = (shape[1] if len(shape) > 1 else None) or 1
    weights = [weight_of(call, index) for index in (1, 2)]
    if call.opset < 21 and groups > 0 and channels % groups == 0:
        repeats = channels // groups
        weights = [
            call.assembly.as_weight(Constant(np.repeat(weight.array, repeats)))
            for weight in weights
        ]
    return call.aten(
        "group_norm.default",
        input=call.input(0),
        num_groups=groups,
        weight=weights[0],
        bias=weights[1],
        eps=call.number("epsilon", 1e-5),
    )


def layer_normalization(call: Call) -> Sequence[Result]:
    """LayerNormalization over the last axis."""
    value, axis = call.value(0), call.integer("axis", -1)
    shape = extents_as_seen(value).items
    if not shape or axis not in (-1, len(shape) - 1) or not isinstance(shape[-1], int):
        raise UnsupportedCase("a normalization of other than the last axis")
    return call.aten(
        "layer_norm.default",
        input=value,
        normalized_shape=(shape[-1],),
        weight=weight_of(call, 1),
        bias=_optional_weight(call, 2),
        eps=call.number("epsilon", 1e-5),
    )


def prelu(call: Call) -> Sequence[Result]:
    """PRelu with a slope for each channel or one for all."""
    slope, shape = weight_of(call, 1), call.shape(0)
    channels = (shape[1] if len(shape) > 1 else None) or 1
    per_channel = (channels, *(1,) * (len(shape) - 2))
    if slope.array.size != 1 and slope.shape not in (per_channel, (1, *per_channel)):
        raise UnsupportedCase(f"slopes of the shape {list(slope.shape)}")
    flat = (
        slope
        if len(slope.shape) == 1
        else call.assembly.as_weight(Constant(slope.array.reshape(-1)))
    )
    return call.aten("prelu.default", self=call.input(0), weight=flat)
