"""Rows of the operator table: lookups, norms, masks, attention and what moves elements."""

from __future__ import annotations

from functools import partial

from smidgen.graph import copy_lowering, layer_lowering, reduction_lowering, tensor_lowering
from smidgen.graph.arguments import Parameter, Type, optional, required
from smidgen.graph.operations import OpKind
from smidgen.graph.operator import Lower

_SELF = required("self", Type.TENSOR)
_OTHER = required("other", Type.TENSOR)
_OPERAND = required("other", Type.TENSOR_OR_NUMBER)
_ALPHA = optional("alpha", Type.FLOAT, 1)
_DIM = optional("dim", Type.OPTIONAL_INTS)
_KEEP = optional("keepdim", Type.BOOL, False)
_DTYPE = optional("dtype", Type.IGNORED)
_PLACEMENT = tuple(optional(name, Type.IGNORED) for name in ("layout", "device", "pin_memory"))
_MOVING = tuple(optional(name, Type.IGNORED) for name in ("non_blocking", "memory_format"))
_COPY = optional("copy", Type.BOOL, False)
_FILLED = (required("size", Type.SIZES), _DTYPE, *_PLACEMENT)
_LIKE = (_SELF, _DTYPE, *_PLACEMENT, optional("memory_format", Type.IGNORED))
_WHERE = tuple(required(name, Type.TENSOR_OR_NUMBER) for name in ("self", "other"))
_ADDITIVE = (_SELF, _OPERAND, _ALPHA)
_FROM_NUMBER = required("self", Type.TENSOR_OR_NUMBER)
"""The number that torch's decomposition of rsub subtracts from."""

ROWS: dict[str, tuple[tuple[Parameter, ...], Lower]] = {
    "embedding.default": (
        (required("weight", Type.TENSOR), required("indices", Type.TENSOR),
         *(optional(name, Type.IGNORED)
           for name in ("padding_idx", "scale_grad_by_freq", "sparse"))),
        tensor_lowering.embedding,
    ),
    "layer_norm.default": (
        (required("input", Type.TENSOR), required("normalized_shape", Type.INTS),
         optional("weight", Type.OPTIONAL_TENSOR), optional("bias", Type.OPTIONAL_TENSOR),
         optional("eps", Type.FLOAT, 1e-5), optional("cudnn_enable", Type.IGNORED)),
        tensor_lowering.layer_norm,
    ),
    "softmax.int": ((_SELF, required("dim", Type.INT), _DTYPE), tensor_lowering.softmax),
    "_softmax.default": (
        (_SELF, required("dim", Type.INT), required("half_to_float", Type.IGNORED)),
        tensor_lowering.softmax,
    ),
    "scaled_dot_product_attention.default": (
        (*(required(name, Type.TENSOR) for name in ("query", "key", "value")),
         optional("attn_mask", Type.OPTIONAL_TENSOR), optional("dropout_p", Type.FLOAT, 0.0),
         optional("is_causal", Type.BOOL, False), optional("scale", Type.OPTIONAL_NUMBER),
         optional("enable_gqa", Type.BOOL, False)),
        tensor_lowering.attention,
    ),
    "matmul.default": ((_SELF, _OTHER), partial(layer_lowering.product, "other")),
    "bmm.default": (
        (_SELF, required("mat2", Type.TENSOR)),
        partial(layer_lowering.product, "mat2"),
    ),
    "sub.Tensor": ((_FROM_NUMBER, _OPERAND, _ALPHA), partial(tensor_lowering.binary, OpKind.SUB)),
    "rsub.Scalar": (_ADDITIVE, tensor_lowering.reversed_subtraction),
    "rsub.Tensor": (_ADDITIVE, tensor_lowering.reversed_subtraction),
    "div.Tensor": ((_SELF, _OPERAND), partial(tensor_lowering.binary, OpKind.DIV)),
    **{
        name: ((_SELF, _OTHER), partial(tensor_lowering.binary, kind))
        for name, kind in (
            ("__and__.Tensor", OpKind.AND), ("bitwise_and.Tensor", OpKind.AND),
            ("logical_and.default", OpKind.AND), ("__or__.Tensor", OpKind.OR),
            ("bitwise_or.Tensor", OpKind.OR), ("logical_or.default", OpKind.OR),
        )
    },
    "logical_not.default": ((_SELF,), tensor_lowering.logical_not),
    "bitwise_not.default": ((_SELF,), tensor_lowering.logical_not),
    **{
        f"{function}.{overload}": ((_SELF, _OPERAND), partial(tensor_lowering.compare, function))
        for function in ("eq", "ne", "lt", "le", "gt", "ge")
        for overload in ("Tensor", "Scalar")
    },
    **{
        f"where.{overload}": (
            (required("condition", Type.TENSOR), *_WHERE),
            tensor_lowering.where,
        )
        for overload in ("self", "ScalarOther", "ScalarSelf", "Scalar")
    },
    **{
        f"masked_fill.{overload}": (
            (_SELF, required("mask", Type.TENSOR), required("value", Type.TENSOR_OR_NUMBER)),
            tensor_lowering.masked_fill,
        )
        for overload in ("Scalar", "Tensor")
    },
    "slice.Tensor": (
        (_SELF, optional("dim", Type.INT, 0), optional("start", Type.OPTIONAL_NUMBER),
         optional("end", Type.OPTIONAL_NUMBER), optional("step", Type.INT, 1)),
        tensor_lowering.slice_axis,
    ),
    "select.int": (
        (_SELF, required("dim", Type.INT), required("index", Type.INT)),
        tensor_lowering.select,
    ),
    "expand.default": (
        (_SELF, required("size", Type.SIZES), optional("implicit", Type.IGNORED)),
        tensor_lowering.expand,
    ),
    "expand_as.default": ((_SELF, _OTHER), tensor_lowering.expand_as),
    "index.Tensor": (
        (_SELF, required("indices", Type.OPTIONAL_TENSORS)),
        tensor_lowering.index,
    ),
    "sum.dim_IntList": ((_SELF, _DIM, _KEEP, _DTYPE), partial(reduction_lowering.reduce, "sum")),
    "amax.default": (
        (_SELF, optional("dim", Type.INTS, ()), _KEEP, _DTYPE),
        partial(reduction_lowering.reduce, "maximum"),
    ),
    "linalg_vector_norm.default": (
        (_SELF, optional("ord", Type.FLOAT, 2), _DIM, _KEEP, _DTYPE),
        reduction_lowering.vector_norm,
    ),
    "sqrt.default": ((_SELF,), partial(tensor_lowering.unary, OpKind.SQRT)),
    "to.device": (
        (_SELF, required("device", Type.IGNORED), required("dtype", Type.IGNORED), _COPY, *_MOVING),
        copy_lowering.to_dtype,
    ),
    "to.dtype_layout": ((_SELF, _DTYPE, _COPY, *_PLACEMENT, *_MOVING), copy_lowering.to_dtype),
    "_to_copy.default": (
        (_SELF, _DTYPE, optional("copy", Type.BOOL, True), *_PLACEMENT, *_MOVING),
        copy_lowering.to_dtype,
    ),
    "type_as.default": ((_SELF, _OTHER), tensor_lowering.type_as),
}  # fmt: skip
"""Parameters and meaning of each operator by its name without the prefix."""
