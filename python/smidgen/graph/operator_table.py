"""The one table of the ATen operators that can be imported. Needs no torch.

A row gives an operator's parameters with types and defaults, as in ATen's native_functions.yaml (an
exported file leaves out arguments equal to the default), and the function that tells what a call of
it means. An operator whose name ends in an underscore writes to its first argument and returns it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from smidgen.graph import lowering
from smidgen.graph.arguments import Arguments, Parameter, Type, Value
from smidgen.graph.lowering import Computed, Lowered
from smidgen.graph.operations import OpKind

Lower = Callable[[Arguments], Lowered]
PREFIX = "torch.ops.aten."


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the table.

    Attributes:
        name: Name and overload without the prefix torch.ops.aten, such as `relu_.default`.
        parameters: The parameters in order.
        lower: Tells what a call means.
    """

    name: str
    parameters: tuple[Parameter, ...]
    lower: Lower

    @property
    def is_in_place(self) -> bool:
        """Whether the operator writes to its first argument."""
        return self.name.split(".", 1)[0].endswith("_")

    def call(self, arguments: Mapping[str, Value]) -> Lowered:
        """Returns what a call with these arguments means.

        Raises:
            ArgumentError: The arguments do not fit the parameters.
            UnsupportedCase: The call is legal and not supported.
        """
        return self.lower(Arguments(self.parameters, arguments))


def find_operator(target: str) -> Operator | None:
    """Returns the row of a target such as `torch.ops.aten.conv2d.default`, or None."""
    return OPERATORS.get(target.removeprefix(PREFIX)) if target.startswith(PREFIX) else None


def _required(name: str, type_: Type) -> Parameter:
    return Parameter(name, type_)


def _optional(name: str, type_: Type, default: Value = None) -> Parameter:
    return Parameter(name, type_, default, is_required=False)


def _apply_unary(kind: OpKind, arguments: Arguments) -> Lowered:
    return Computed((lowering.unary(kind),), (arguments.activation("self"),))


_SELF = _required("self", Type.TENSOR)
_INPUT = _required("input", Type.TENSOR)
_WEIGHT = _required("weight", Type.TENSOR)
_BIAS = _optional("bias", Type.OPTIONAL_TENSOR)
_FORMAT = _optional("memory_format", Type.IGNORED)
_ONE, _ZERO = (1, 1), (0, 0)

_CONV = (_INPUT, _WEIGHT, _BIAS, _optional("stride", Type.PAIR, _ONE))
_CONV_REST = (_optional("dilation", Type.PAIR, _ONE), _optional("groups", Type.INT, 1))
_NOT_TRANSPOSED = _optional("transposed", Type.BOOL, False)
_STATISTICS = (_required("running_mean", Type.TENSOR), _required("running_var", Type.TENSOR))
_AFFINE = (_required("weight", Type.OPTIONAL_TENSOR), _required("bias", Type.OPTIONAL_TENSOR))
_NORM_NUMBERS = (_required("momentum", Type.FLOAT), _required("eps", Type.FLOAT))
_TRAINING = _required("training", Type.BOOL)
_POOL = (
    _SELF,
    _required("kernel_size", Type.PAIR),
    _optional("stride", Type.PAIR, ()),
    _optional("padding", Type.PAIR, _ZERO),
)
_MAX_POOL = (
    *_POOL,
    _optional("dilation", Type.PAIR, _ONE),
    _optional("ceil_mode", Type.BOOL, False),
)
_DROPOUT = (_required("p", Type.FLOAT), _required("train", Type.BOOL))
_BOUNDS = (_optional("min", Type.OPTIONAL_NUMBER), _optional("max", Type.OPTIONAL_NUMBER))
_TENSORS = (_required("tensors", Type.TENSORS), _optional("dim", Type.INT, 0))
_DIMS = _required("dim", Type.INTS)
_METADATA = tuple(
    _optional(name, Type.IGNORED) for name in ("size", "stride", "dtype", "device", "layout")
)
_UNARY = {
    "relu": OpKind.RELU, "relu6": OpKind.RELU6, "sigmoid": OpKind.SIGMOID, "tanh": OpKind.TANH,
    "hardsigmoid": OpKind.HARDSIGMOID, "hardswish": OpKind.HARDSWISH, "silu": OpKind.SILU,
}  # fmt: skip

_ROWS: dict[str, tuple[tuple[Parameter, ...], Lower]] = {
    "conv2d.default": (
        (*_CONV, _optional("padding", Type.PAIR, _ZERO), *_CONV_REST, _NOT_TRANSPOSED),
        lowering.conv2d,
    ),
    "conv2d.padding": (
        (*_CONV, _optional("padding", Type.STRING, "valid"), *_CONV_REST),
        lowering.conv2d_padding,
    ),
    "convolution.default": (
        (*_CONV, _required("padding", Type.PAIR), *_CONV_REST, _NOT_TRANSPOSED,
         _optional("output_padding", Type.IGNORED)),
        lowering.conv2d,
    ),
    "linear.default": ((_INPUT, _WEIGHT, _BIAS), lowering.linear),
    "addmm.default": (
        (_SELF, _required("mat1", Type.TENSOR), _required("mat2", Type.TENSOR),
         _optional("beta", Type.FLOAT, 1), _optional("alpha", Type.FLOAT, 1)),
        lowering.addmm,
    ),
    "mm.default": ((_SELF, _required("mat2", Type.TENSOR)), lowering.matmul),
    "matmul.default": ((_SELF, _required("other", Type.TENSOR)), lowering.matmul_other),
    "numpy_T.default": ((_SELF, _optional("dims", Type.INTS, (1, 0))), lowering.transpose),
    "t.default": ((_SELF, _optional("dims", Type.INTS, (1, 0))), lowering.transpose),
    "permute.default": ((_SELF, _required("dims", Type.INTS)), lowering.transpose),
    "transpose.int": (
        (_SELF, _required("dim0", Type.INT), _required("dim1", Type.INT)),
        lowering.transpose_pair,
    ),
    "batch_norm.default": (
        (_INPUT, *_AFFINE, _required("running_mean", Type.OPTIONAL_TENSOR),
         _required("running_var", Type.OPTIONAL_TENSOR), _TRAINING, *_NORM_NUMBERS,
         _optional("cudnn_enabled", Type.IGNORED)),
        lowering.batch_norm,
    ),
    "_native_batch_norm_legit_no_training.default": (
        (_INPUT, *_AFFINE, *_STATISTICS, *_NORM_NUMBERS),
        lowering.batch_norm,
    ),
    "_native_batch_norm_legit_functional.default": (
        (_INPUT, *_AFFINE, *_STATISTICS, _TRAINING, *_NORM_NUMBERS),
        lowering.batch_norm,
    ),
    "hardtanh.default": (
        (_SELF, _optional("min_val", Type.FLOAT, -1), _optional("max_val", Type.FLOAT, 1)),
        lowering.hardtanh,
    ),
    "clamp.default": ((_SELF, *_BOUNDS), lowering.clamp),
    "clip.default": ((_SELF, *_BOUNDS), lowering.clamp),
    "clamp_min.default": ((_SELF, _required("min", Type.FLOAT), _BOUNDS[1]), lowering.clamp),
    "clamp_max.default": ((_SELF, _BOUNDS[0], _required("max", Type.FLOAT)), lowering.clamp),
    "gelu.default": ((_SELF, _optional("approximate", Type.STRING, "none")), lowering.gelu),
    "leaky_relu.default": (
        (_SELF, _optional("negative_slope", Type.FLOAT, 0.01)),
        lowering.leaky_relu,
    ),
    "elu.default": (
        (_SELF, _optional("alpha", Type.FLOAT, 1), _optional("scale", Type.FLOAT, 1),
         _optional("input_scale", Type.FLOAT, 1)),
        lowering.elu,
    ),
    "add.Tensor": (
        (_SELF, _required("other", Type.TENSOR_OR_NUMBER), _optional("alpha", Type.FLOAT, 1)),
        lowering.add,
    ),
    "mul.Tensor": ((_SELF, _required("other", Type.TENSOR_OR_NUMBER)), lowering.multiply),
    "cat.default": (_TENSORS, lowering.concat),
    "concat.default": (_TENSORS, lowering.concat),
    "max_pool2d.default": (_MAX_POOL, lowering.max_pool),
    "max_pool2d_with_indices.default": (_MAX_POOL, lowering.max_pool),
    "avg_pool2d.default": (
        (*_POOL, _optional("ceil_mode", Type.BOOL, False),
         _optional("count_include_pad", Type.BOOL, True),
         _optional("divisor_override", Type.OPTIONAL_NUMBER)),
        lowering.average_pool,
    ),
    "adaptive_avg_pool2d.default": (
        (_SELF, _required("output_size", Type.PAIR)),
        lowering.adaptive_average_pool,
    ),
    "mean.dim": (
        (_SELF, _DIMS, _optional("keepdim", Type.BOOL, False), _optional("dtype", Type.IGNORED)),
        lowering.mean,
    ),
    "dropout.default": ((_INPUT, *_DROPOUT), partial(lowering.dropout, "input", False)),
    "dropout_.default": ((_SELF, *_DROPOUT), partial(lowering.dropout, "self", False)),
    "feature_dropout.default": ((_INPUT, *_DROPOUT), partial(lowering.dropout, "input", True)),
    "feature_dropout_.default": ((_SELF, *_DROPOUT), partial(lowering.dropout, "self", True)),
    "alias.default": ((_SELF,), lowering.forward),
    "detach.default": ((_SELF,), lowering.forward),
    "contiguous.default": ((_SELF, _FORMAT), lowering.forward),
    "clone.default": ((_SELF, _FORMAT), lowering.clone),
    "to.dtype": (
        (_SELF, _required("dtype", Type.IGNORED), _optional("non_blocking", Type.IGNORED),
         _optional("copy", Type.BOOL, False), _FORMAT),
        lowering.to_dtype,
    ),
    "_assert_tensor_metadata.default": (
        (_required("a", Type.TENSOR), *_METADATA),
        lowering.nothing,
    ),
    "sym_size.int": ((_SELF, _required("dim", Type.INT)), lowering.size),
    "flatten.using_ints": (
        (_SELF, _optional("start_dim", Type.INT, 0), _optional("end_dim", Type.INT, -1)),
        lowering.flatten,
    ),
    "view.default": ((_SELF, _required("size", Type.SIZES)), lowering.reshape),
    "_unsafe_view.default": ((_SELF, _required("size", Type.SIZES)), lowering.reshape),
    "reshape.default": ((_SELF, _required("shape", Type.SIZES)), lowering.reshape_to),
    "squeeze.default": ((_SELF, _optional("dim", Type.INTS)), lowering.squeeze),
    "squeeze.dim": ((_SELF, _DIMS), lowering.squeeze),
    "squeeze.dims": ((_SELF, _DIMS), lowering.squeeze),
    "unsqueeze.default": ((_SELF, _required("dim", Type.INT)), lowering.unsqueeze),
    **{f"{name}.default": ((_SELF,), partial(_apply_unary, kind)) for name, kind in _UNARY.items()},
}  # fmt: skip

_IN_PLACE = (
    *(f"{name}.default" for name in _UNARY), "hardtanh.default", "clamp.default", "clip.default",
    "clamp_min.default", "clamp_max.default", "gelu.default", "leaky_relu.default", "elu.default",
    "add.Tensor", "mul.Tensor",
)  # fmt: skip


def _in_place(name: str) -> str:
    base, overload = name.split(".", 1)
    return f"{base}_.{overload}"


OPERATORS: Mapping[str, Operator] = {
    name: Operator(name, parameters, lower)
    for name, (parameters, lower) in (
        _ROWS | {_in_place(name): _ROWS[name] for name in _IN_PLACE}
    ).items()
}
"""Every operator that can be imported, by its name without the prefix."""
