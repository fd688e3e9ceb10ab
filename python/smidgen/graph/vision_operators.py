"""Rows of the operator table: functions of numbers, other sizes, padding, shuffles and splits."""

from __future__ import annotations

from functools import partial

from smidgen.graph import reduction_lowering, vision_lowering
from smidgen.graph.arguments import Parameter, Type, optional, required
from smidgen.graph.operations import OpKind
from smidgen.graph.operator import Lower

_SELF = required("self", Type.TENSOR)
_INPUT = required("input", Type.TENSOR)
_ALIGN = required("align_corners", Type.BOOL)
_SIZE = required("output_size", Type.OPTIONAL_SIZES)
_FACTORS = required("scale_factors", Type.OPTIONAL_FLOATS)
_SCALES = tuple(optional(f"scales_{axis}", Type.OPTIONAL_NUMBER) for axis in "hw")
_ONE, _ZERO = (1, 1), (0, 0)

_OTHER = required("other", Type.TENSOR)
_DIM = required("dim", Type.INT)
_AXIS = optional("dim", Type.INT, 0)
_KEEP = optional("keepdim", Type.BOOL, False)
_DTYPE = optional("dtype", Type.IGNORED)
_AFFINE = (optional("weight", Type.OPTIONAL_TENSOR), optional("bias", Type.OPTIONAL_TENSOR))
_UNARY = {
    "neg": OpKind.NEG, "abs": OpKind.ABS, "exp": OpKind.EXP, "log": OpKind.LOG,
    "rsqrt": OpKind.RSQRT, "reciprocal": OpKind.RECIPROCAL, "erf": OpKind.ERF,
    "mish": OpKind.MISH, "sin": OpKind.SIN, "cos": OpKind.COS, "floor": OpKind.FLOOR,
    "round": OpKind.ROUND,
}  # fmt: skip
_NEAREST = {"upsample_nearest2d": "nearest", "_upsample_nearest_exact2d": "nearest_exact"}

ROWS: dict[str, tuple[tuple[Parameter, ...], Lower]] = {
    **{
        f"{name}.default": ((_SELF,), partial(vision_lowering.unary, kind))
        for name, kind in _UNARY.items()
    },
    "softplus.default": (
        (_SELF, optional("beta", Type.FLOAT, 1), optional("threshold", Type.FLOAT, 20)),
        vision_lowering.softplus,
    ),
    "pow.Tensor_Scalar": ((_SELF, required("exponent", Type.FLOAT)), vision_lowering.power),
    "square.default": ((_SELF,), vision_lowering.square),
    "minimum.default": ((_SELF, _OTHER), partial(vision_lowering.binary, OpKind.MINIMUM)),
    "maximum.default": ((_SELF, _OTHER), partial(vision_lowering.binary, OpKind.MAXIMUM)),
    "amin.default": (
        (_SELF, optional("dim", Type.INTS, ()), _KEEP),
        partial(reduction_lowering.reduce, "minimum"),
    ),
    "max_unpool2d.default": (
        (_SELF, required("indices", Type.TENSOR), required("output_size", Type.PAIR)),
        vision_lowering.max_unpool,
    ),
    "argmax.default": (
        (_SELF, optional("dim", Type.OPTIONAL_NUMBER), _KEEP),
        vision_lowering.argmax,
    ),
    "log_softmax.int": ((_SELF, _DIM, _DTYPE), vision_lowering.log_softmax),
    "_log_softmax.default": (
        (_SELF, _DIM, required("half_to_float", Type.IGNORED)),
        vision_lowering.log_softmax,
    ),
    "group_norm.default": (
        (_INPUT, required("num_groups", Type.INT), *_AFFINE, optional("eps", Type.FLOAT, 1e-5),
         optional("cudnn_enabled", Type.IGNORED)),
        vision_lowering.group_norm,
    ),
    "instance_norm.default": (
        (_INPUT, required("weight", Type.OPTIONAL_TENSOR), required("bias", Type.OPTIONAL_TENSOR),
         required("running_mean", Type.OPTIONAL_TENSOR),
         required("running_var", Type.OPTIONAL_TENSOR), required("use_input_stats", Type.BOOL),
         required("momentum", Type.FLOAT), required("eps", Type.FLOAT),
         required("cudnn_enabled", Type.IGNORED)),
        vision_lowering.instance_norm,
    ),
    "prelu.default": ((_SELF, required("weight", Type.TENSOR)), vision_lowering.prelu),
    "adaptive_max_pool2d.default": (
        (_SELF, required("output_size", Type.PAIR)),
        vision_lowering.adaptive_max_pool,
    ),
    "constant_pad_nd.default": (
        (_SELF, required("pad", Type.INTS), optional("value", Type.FLOAT, 0)),
        vision_lowering.pad,
    ),
    "pad.default": (
        (_SELF, required("pad", Type.INTS), optional("mode", Type.STRING, "constant"),
         optional("value", Type.OPTIONAL_NUMBER)),
        vision_lowering.pad,
    ),
    "pixel_shuffle.default": (
        (_SELF, required("upscale_factor", Type.INT)),
        vision_lowering.pixel_shuffle,
    ),
    "pixel_unshuffle.default": (
        (_SELF, required("downscale_factor", Type.INT)),
        vision_lowering.pixel_unshuffle,
    ),
    "channel_shuffle.default": (
        (_SELF, required("groups", Type.INT)),
        vision_lowering.channel_shuffle,
    ),
    "split.Tensor": (
        (_SELF, required("split_size", Type.INT), _AXIS),
        partial(vision_lowering.split, "split_size"),
    ),
    "split_with_sizes.default": (
        (_SELF, required("split_sizes", Type.INTS), _AXIS),
        partial(vision_lowering.split, "split_sizes"),
    ),
    "chunk.default": ((_SELF, required("chunks", Type.INT), _AXIS), vision_lowering.chunk),
    "unbind.int": ((_SELF, _AXIS), vision_lowering.unbind),
    "stack.default": ((required("tensors", Type.TENSORS), _AXIS), vision_lowering.stack),
    "narrow.default": (
        (_SELF, required("dim", Type.INT), required("start", Type.INT),
         required("length", Type.INT)),
        vision_lowering.narrow,
    ),
    "conv_transpose2d.input": (
        (_INPUT, required("weight", Type.TENSOR), optional("bias", Type.OPTIONAL_TENSOR),
         optional("stride", Type.PAIR, _ONE), optional("padding", Type.PAIR, _ZERO),
         optional("output_padding", Type.PAIR, _ZERO), optional("groups", Type.INT, 1),
         optional("dilation", Type.PAIR, _ONE)),
        vision_lowering.conv_transpose2d,
    ),
    **{
        f"{name}.vec": ((_INPUT, _SIZE, _FACTORS), partial(vision_lowering.resize, mode))
        for name, mode in _NEAREST.items()
    },
    **{
        f"{name}.default": (
            (_SELF, required("output_size", Type.SIZES), *_SCALES),
            partial(vision_lowering.resize, mode),
        )
        for name, mode in _NEAREST.items()
    },
    "upsample_bilinear2d.vec": (
        (_INPUT, _SIZE, _ALIGN, _FACTORS),
        partial(vision_lowering.resize, "bilinear"),
    ),
    "upsample_bilinear2d.default": (
        (_SELF, required("output_size", Type.SIZES), _ALIGN, *_SCALES),
        partial(vision_lowering.resize, "bilinear"),
    ),
}  # fmt: skip
"""Parameters and meaning of each operator by its name without the prefix."""

IN_PLACE = (*(f"{name}.default" for name in _UNARY), "square.default")
"""Operators of which there is a form that writes to its first argument."""
