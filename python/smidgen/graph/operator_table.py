"""The one table of the ATen operators that can be imported. Needs no torch.

A row gives an operator's parameters with types and defaults, as in ATen's native_functions.yaml (an
exported file leaves out arguments equal to the default), and the function that tells what a call of
it means. An operator whose name ends in an underscore writes to its first argument and returns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from smidgen.graph import (
    copy_lowering,
    creation_operators,
    elementwise_lowering,
    layer_lowering,
    pooling_lowering,
    reduction_lowering,
    sequence_operators,
    shape_lowering,
    tensor_operators,
    vision_lowering,
    vision_operators,
)
from smidgen.graph.arguments import Arguments, Parameter, Type, optional, required
from smidgen.graph.lowered import Computed, Lowered
from smidgen.graph.operations import OpKind
from smidgen.graph.operator import Lower, Operator

PREFIX = "torch.ops.aten."


def find_operator(target: str) -> Operator | None:
    """Returns the row of a target such as `torch.ops.aten.conv2d.default`, or None."""
    return OPERATORS.get(target.removeprefix(PREFIX)) if target.startswith(PREFIX) else None


def _apply_unary(kind: OpKind, arguments: Arguments) -> Lowered:
    return Computed((elementwise_lowering.unary(kind),), (arguments.tensor("self"),))


_SELF = required("self", Type.TENSOR)
_INPUT = required("input", Type.TENSOR)
_WEIGHT = required("weight", Type.TENSOR)
_BIAS = optional("bias", Type.OPTIONAL_TENSOR)
_FORMAT = optional("memory_format", Type.IGNORED)
_ONE, _ZERO = (1, 1), (0, 0)

_CONV = (_INPUT, _WEIGHT, _BIAS, optional("stride", Type.PAIR, _ONE))
_CONV_REST = (optional("dilation", Type.PAIR, _ONE), optional("groups", Type.INT, 1))
_NOT_TRANSPOSED = optional("transposed", Type.BOOL, False)
_STATISTICS = (required("running_mean", Type.TENSOR), required("running_var", Type.TENSOR))
_AFFINE = (required("weight", Type.OPTIONAL_TENSOR), required("bias", Type.OPTIONAL_TENSOR))
_NORM_NUMBERS = (required("momentum", Type.FLOAT), required("eps", Type.FLOAT))
_TRAINING = required("training", Type.BOOL)
_POOL = (
    _SELF,
    required("kernel_size", Type.PAIR),
    optional("stride", Type.PAIR, ()),
    optional("padding", Type.PAIR, _ZERO),
)
_MAX_POOL = (
    *_POOL,
    optional("dilation", Type.PAIR, _ONE),
    optional("ceil_mode", Type.BOOL, False),
)
_DROPOUT = (required("p", Type.FLOAT), required("train", Type.BOOL))
_BOUNDS = (optional("min", Type.OPTIONAL_NUMBER), optional("max", Type.OPTIONAL_NUMBER))
_TENSORS = (required("tensors", Type.TENSORS), optional("dim", Type.INT, 0))
_DIMS = required("dim", Type.INTS)
_METADATA = tuple(
    optional(name, Type.IGNORED) for name in ("size", "stride", "dtype", "device", "layout")
)
_UNARY = {
    "relu": OpKind.RELU, "relu6": OpKind.RELU6, "sigmoid": OpKind.SIGMOID, "tanh": OpKind.TANH,
    "hardsigmoid": OpKind.HARDSIGMOID, "hardswish": OpKind.HARDSWISH, "silu": OpKind.SILU,
}  # fmt: skip

_ROWS: dict[str, tuple[tuple[Parameter, ...], Lower]] = {
    "conv2d.default": (
        (*_CONV, optional("padding", Type.PAIR, _ZERO), *_CONV_REST),
        layer_lowering.conv2d,
    ),
    "conv2d.padding": (
        (*_CONV, optional("padding", Type.STRING, "valid"), *_CONV_REST),
        layer_lowering.conv2d_padding,
    ),
    "convolution.default": (
        (*_CONV, required("padding", Type.PAIR), *_CONV_REST, _NOT_TRANSPOSED,
         optional("output_padding", Type.PAIR, _ZERO)),
        vision_lowering.convolution,
    ),
    "linear.default": ((_INPUT, _WEIGHT, _BIAS), layer_lowering.linear),
    "addmm.default": (
        (_SELF, required("mat1", Type.TENSOR), required("mat2", Type.TENSOR),
         optional("beta", Type.FLOAT, 1), optional("alpha", Type.FLOAT, 1)),
        layer_lowering.addmm,
    ),
    "mm.default": ((_SELF, required("mat2", Type.TENSOR)), layer_lowering.matmul),
    "numpy_T.default": ((_SELF, optional("dims", Type.INTS, (1, 0))), shape_lowering.transpose),
    "t.default": ((_SELF, optional("dims", Type.INTS, (1, 0))), shape_lowering.transpose),
    "permute.default": ((_SELF, required("dims", Type.INTS)), shape_lowering.transpose),
    "transpose.int": (
        (_SELF, required("dim0", Type.INT), required("dim1", Type.INT)),
        shape_lowering.transpose_pair,
    ),
    "batch_norm.default": (
        (_INPUT, *_AFFINE, required("running_mean", Type.OPTIONAL_TENSOR),
         required("running_var", Type.OPTIONAL_TENSOR), _TRAINING, *_NORM_NUMBERS,
         optional("cudnn_enabled", Type.IGNORED)),
        layer_lowering.batch_norm,
    ),
    "_native_batch_norm_legit_no_training.default": (
        (_INPUT, *_AFFINE, *_STATISTICS, *_NORM_NUMBERS),
        layer_lowering.batch_norm,
    ),
    "_native_batch_norm_legit_functional.default": (
        (_INPUT, *_AFFINE, *_STATISTICS, _TRAINING, *_NORM_NUMBERS),
        layer_lowering.batch_norm,
    ),
    "hardtanh.default": (
        (_SELF, optional("min_val", Type.FLOAT, -1), optional("max_val", Type.FLOAT, 1)),
        elementwise_lowering.hardtanh,
    ),
    "clamp.default": ((_SELF, *_BOUNDS), elementwise_lowering.clamp),
    "clip.default": ((_SELF, *_BOUNDS), elementwise_lowering.clamp),
    "clamp_min.default": (
        (_SELF, required("min", Type.FLOAT), _BOUNDS[1]),
        elementwise_lowering.clamp,
    ),
    "clamp_max.default": (
        (_SELF, _BOUNDS[0], required("max", Type.FLOAT)),
        elementwise_lowering.clamp,
    ),
    "gelu.default": (
        (_SELF, optional("approximate", Type.STRING, "none")),
        elementwise_lowering.gelu,
    ),
    "leaky_relu.default": (
        (_SELF, optional("negative_slope", Type.FLOAT, 0.01)),
        elementwise_lowering.leaky_relu,
    ),
    "elu.default": (
        (_SELF, optional("alpha", Type.FLOAT, 1), optional("scale", Type.FLOAT, 1),
         optional("input_scale", Type.FLOAT, 1)),
        elementwise_lowering.elu,
    ),
    "add.Tensor": (
        (_SELF, required("other", Type.TENSOR_OR_NUMBER), optional("alpha", Type.FLOAT, 1)),
        elementwise_lowering.add,
    ),
    "mul.Tensor": (
        (_SELF, required("other", Type.TENSOR_OR_NUMBER)),
        elementwise_lowering.multiply,
    ),
    "multiply.Tensor": (
        (_SELF, required("other", Type.TENSOR_OR_NUMBER)),
        elementwise_lowering.multiply,
    ),
    "cat.default": (_TENSORS, shape_lowering.concat),
    "concat.default": (_TENSORS, shape_lowering.concat),
    "max_pool2d.default": (_MAX_POOL, pooling_lowering.max_pool),
    "max_pool2d_with_indices.default": (_MAX_POOL, pooling_lowering.max_pool),
    "avg_pool2d.default": (
        (*_POOL, optional("ceil_mode", Type.BOOL, False),
         optional("count_include_pad", Type.BOOL, True),
         optional("divisor_override", Type.OPTIONAL_NUMBER)),
        pooling_lowering.average_pool,
    ),
    "adaptive_avg_pool2d.default": (
        (_SELF, required("output_size", Type.PAIR)),
        pooling_lowering.adaptive_average_pool,
    ),
    "mean.dim": (
        (_SELF, _DIMS, optional("keepdim", Type.BOOL, False), optional("dtype", Type.IGNORED)),
        reduction_lowering.mean,
    ),
    "dropout.default": ((_INPUT, *_DROPOUT), partial(layer_lowering.dropout, "input", False)),
    "dropout_.default": ((_SELF, *_DROPOUT), partial(layer_lowering.dropout, "self", False)),
    "feature_dropout.default": (
        (_INPUT, *_DROPOUT),
        partial(layer_lowering.dropout, "input", True),
    ),
    "feature_dropout_.default": ((_SELF, *_DROPOUT), partial(layer_lowering.dropout, "self", True)),
    "alias.default": ((_SELF,), copy_lowering.forward),
    "detach.default": ((_SELF,), copy_lowering.forward),
    "contiguous.default": ((_SELF, _FORMAT), copy_lowering.contiguous),
    "clone.default": ((_SELF, _FORMAT), copy_lowering.clone),
    "to.dtype": (
        (_SELF, required("dtype", Type.IGNORED), optional("non_blocking", Type.IGNORED),
         optional("copy", Type.BOOL, False), _FORMAT),
        copy_lowering.to_dtype,
    ),
    "_assert_tensor_metadata.default": (
        (required("a", Type.TENSOR), *_METADATA),
        copy_lowering.nothing,
    ),
    "sym_size.int": ((_SELF, required("dim", Type.INT)), shape_lowering.size),
    "flatten.using_ints": (
        (_SELF, optional("start_dim", Type.INT, 0), optional("end_dim", Type.INT, -1)),
        shape_lowering.flatten,
    ),
    "view.default": ((_SELF, required("size", Type.SIZES)), shape_lowering.reshape),
    "_unsafe_view.default": ((_SELF, required("size", Type.SIZES)), shape_lowering.reshape),
    "reshape.default": ((_SELF, required("shape", Type.SIZES)), shape_lowering.reshape_to),
    "squeeze.default": ((_SELF, optional("dim", Type.OPTIONAL_INTS)), shape_lowering.squeeze),
    "squeeze.dim": ((_SELF, _DIMS), shape_lowering.squeeze),
    "squeeze.dims": ((_SELF, _DIMS), shape_lowering.squeeze),
    "unsqueeze.default": ((_SELF, required("dim", Type.INT)), shape_lowering.unsqueeze),
    **{f"{name}.default": ((_SELF,), partial(_apply_unary, kind)) for name, kind in _UNARY.items()},
}  # fmt: skip

_IN_PLACE = (
    *(f"{name}.default" for name in _UNARY), "hardtanh.default", "clamp.default", "clip.default",
    "clamp_min.default", "clamp_max.default", "gelu.default", "leaky_relu.default", "elu.default",
    "add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "masked_fill.Scalar",
    "masked_fill.Tensor",
)  # fmt: skip


def _in_place(name: str) -> str:
    base, overload = name.split(".", 1)
    return f"{base}_.{overload}"


_ALL_ROWS = (
    _ROWS
    | creation_operators.ROWS
    | tensor_operators.ROWS
    | vision_operators.ROWS
    | sequence_operators.ROWS
)

OPERATORS: Mapping[str, Operator] = {
    name: Operator(name, parameters, lower)
    for name, (parameters, lower) in (
        _ALL_ROWS
        | {_in_place(name): _ALL_ROWS[name] for name in (*_IN_PLACE, *vision_operators.IN_PLACE)}
    ).items()
}
"""Every operator that can be imported, by its name without the prefix."""


def supported_names() -> tuple[str, ...]:
    """Returns the names of all operators for people: without overloads and those in place."""
    return tuple(
        sorted({name.split(".", 1)[0] for name, row in OPERATORS.items() if not row.is_in_place})
    )
