"""Rows of the operator table: signals of one axis, running sums and constant indices."""

from __future__ import annotations

from functools import partial

from smidgen.graph import contraction, copy_lowering, moments, sequence_lowering
from smidgen.graph.arguments import Parameter, Type, optional, required
from smidgen.graph.operations import OpKind
from smidgen.graph.operator import Lower

_SELF = required("self", Type.TENSOR)
_OTHER = required("other", Type.TENSOR)
_INPUT = required("input", Type.TENSOR)
_DIM = required("dim", Type.INT)
_DIMS = optional("dim", Type.OPTIONAL_INTS)
_KEEP = optional("keepdim", Type.BOOL, False)
_DTYPE = optional("dtype", Type.IGNORED)
_ONE, _ZERO = (1,), (0,)
_CONV = (
    _INPUT,
    required("weight", Type.TENSOR),
    optional("bias", Type.OPTIONAL_TENSOR),
    optional("stride", Type.INTS, _ONE),
)
_CONV_REST = (optional("dilation", Type.INTS, _ONE), optional("groups", Type.INT, 1))
_WINDOWS = tuple(
    required(name, Type.PAIR) for name in ("kernel_size", "dilation", "padding", "stride")
)

ROWS: dict[str, tuple[tuple[Parameter, ...], Lower]] = {
    "conv1d.default": (
        (*_CONV, optional("padding", Type.INTS, _ZERO), *_CONV_REST),
        sequence_lowering.conv1d,
    ),
    "conv1d.padding": (
        (*_CONV, optional("padding", Type.STRING, "valid"), *_CONV_REST),
        sequence_lowering.conv1d,
    ),
    "avg_pool3d.default": (
        (_SELF, required("kernel_size", Type.INTS), optional("stride", Type.INTS, ()),
         optional("padding", Type.INTS, _ZERO * 3), optional("ceil_mode", Type.BOOL, False),
         optional("count_include_pad", Type.BOOL, True),
         optional("divisor_override", Type.OPTIONAL_NUMBER)),
        sequence_lowering.average_pool_of_depth,
    ),
    "cumsum.default": ((_SELF, _DIM, _DTYPE), sequence_lowering.running_sum),
    "gather.default": (
        (_SELF, _DIM, required("index", Type.TENSOR), optional("sparse_grad", Type.IGNORED)),
        sequence_lowering.gather,
    ),
    "index_select.default": (
        (_SELF, _DIM, required("index", Type.TENSOR)),
        sequence_lowering.index_select,
    ),
    "max.dim": ((_SELF, _DIM, _KEEP), partial(sequence_lowering.extreme, "maximum")),
    "min.dim": ((_SELF, _DIM, _KEEP), partial(sequence_lowering.extreme, "minimum")),
    "max.other": ((_SELF, _OTHER), partial(sequence_lowering.larger, OpKind.MAXIMUM)),
    "min.other": ((_SELF, _OTHER), partial(sequence_lowering.larger, OpKind.MINIMUM)),
    "repeat.default": ((_SELF, required("repeats", Type.SIZES)), sequence_lowering.repeat),
    "unflatten.int": (
        (_SELF, _DIM, required("sizes", Type.SIZES)),
        sequence_lowering.unflatten,
    ),
    "sum.default": ((_SELF, _DTYPE), partial(sequence_lowering.of_all, "sum")),
    "mean.default": ((_SELF, _DTYPE), partial(sequence_lowering.of_all, "mean")),
    "baddbmm.default": (
        (_SELF, required("batch1", Type.TENSOR), required("batch2", Type.TENSOR),
         optional("beta", Type.FLOAT, 1), optional("alpha", Type.FLOAT, 1)),
        sequence_lowering.added_product,
    ),
    "einsum.default": (
        (required("equation", Type.STRING), required("tensors", Type.TENSORS),
         optional("path", Type.IGNORED)),
        contraction.einsum,
    ),
    **{
        f"{name}.{overload}": ((_SELF, _DIMS, parameter, _KEEP), lower)
        for name, lower in (
            ("var", moments.variance), ("std", moments.deviation),
            ("var_mean", moments.variance_and_mean),
        )
        for overload, parameter in (
            ("dim", optional("unbiased", Type.BOOL, True)),
            ("correction", optional("correction", Type.OPTIONAL_NUMBER)),
        )
    },
    "_weight_norm.default": (
        (required("v", Type.TENSOR), required("g", Type.TENSOR), optional("dim", Type.INT, 0)),
        sequence_lowering.weight_norm,
    ),
    "pow.Tensor_Tensor": (
        (_SELF, required("exponent", Type.TENSOR)),
        sequence_lowering.constant_power,
    ),
    "roll.default": (
        (_SELF, required("shifts", Type.INTS), optional("dims", Type.INTS, ())),
        sequence_lowering.roll,
    ),
    "adaptive_avg_pool1d.default": (
        (_SELF, required("output_size", Type.INTS)),
        sequence_lowering.adaptive_average_pool1d,
    ),
    "im2col.default": ((_SELF, *_WINDOWS), sequence_lowering.unfold),
    "col2im.default": (
        (_SELF, required("output_size", Type.PAIR), *_WINDOWS),
        sequence_lowering.fold,
    ),
    "reshape_as.default": ((_SELF, _OTHER), sequence_lowering.reshape_as),
    "lift_fresh_copy.default": ((_SELF,), copy_lowering.clone),
    "detach_.default": ((_SELF,), copy_lowering.forward),
}  # fmt: skip
"""Parameters and meaning of each operator by its name without the prefix."""
