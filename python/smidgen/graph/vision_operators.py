"""Rows of the operator table: what gives images another size, and pads, splits or shuffles them."""

from __future__ import annotations

from functools import partial

from smidgen.graph import vision_lowering
from smidgen.graph.arguments import Parameter, Type, optional, required
from smidgen.graph.operator import Lower

_SELF = required("self", Type.TENSOR)
_INPUT = required("input", Type.TENSOR)
_ALIGN = required("align_corners", Type.BOOL)
_SIZE = required("output_size", Type.OPTIONAL_SIZES)
_FACTORS = required("scale_factors", Type.OPTIONAL_FLOATS)
_SCALES = tuple(optional(f"scales_{axis}", Type.OPTIONAL_NUMBER) for axis in "hw")
_ONE, _ZERO = (1, 1), (0, 0)

_NEAREST = {"upsample_nearest2d": "nearest", "_upsample_nearest_exact2d": "nearest_exact"}

ROWS: dict[str, tuple[tuple[Parameter, ...], Lower]] = {
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
