"""What calls of the ATen operators of vision nets mean: resampling, padding, shuffles, splits.

Needs no torch.
"""

from __future__ import annotations

from smidgen.graph import operations as ops
from smidgen.graph.arguments import ArgumentError, Arguments, UnsupportedCase
from smidgen.graph.lowering import Computed, Lowered, conv2d
from smidgen.graph.shapes import show


def convolution(arguments: Arguments) -> Lowered:
    """aten.convolution.default."""
    is_transposed = arguments.flag("transposed")
    return conv_transpose2d(arguments) if is_transposed else conv2d(arguments)


def conv_transpose2d(arguments: Arguments) -> Lowered:
    """aten.conv_transpose2d.input."""
    operation = ops.ConvTranspose2d(
        arguments.plain_weight("weight"),
        arguments.optional_weight("bias"),
        arguments.pair("stride"),
        arguments.pair("padding"),
        arguments.pair("output_padding"),
        arguments.pair("dilation"),
        arguments.integer("groups"),
    )
    return Computed((operation,), (arguments.activation("input"),))


def resize(mode: str, arguments: Arguments) -> Lowered:
    """aten.upsample_nearest2d, aten._upsample_nearest_exact2d and aten.upsample_bilinear2d."""
    name = "self" if "self" in arguments else "input"
    value = arguments.activation(name)
    if len(value.shape) != 4:
        raise ArgumentError(f"it resizes the shape {show(value.shape)}")
    scales = _scales(arguments)
    aligns = "align_corners" in arguments and arguments.flag("align_corners")
    if arguments["output_size"] is None:
        if scales is None:
            raise ArgumentError("it has neither a size nor scales")
        height, width = (
            int((extent or 1) * scale)
            for extent, scale in zip(value.shape[2:], scales, strict=True)
        )
    else:
        height, width = _size(arguments)
    operation = ops.Resize(mode, (height, width), scales, aligns)
    return Computed((operation,), (value,))


def _size(arguments: Arguments) -> ops.Pair:
    sizes = arguments.sizes("output_size")
    extents = [size for size in sizes if isinstance(size, int)]
    if len(extents) != 2 or len(sizes) != 2:
        raise UnsupportedCase("an image size that depends on the batch")
    return extents[0], extents[1]


def _scales(arguments: Arguments) -> tuple[float, float] | None:
    if "scales_h" in arguments:
        vertical, horizontal = (arguments.optional_number(f"scales_{axis}") for axis in "hw")
        if vertical is None or horizontal is None:
            return None
        return vertical, horizontal
    if arguments["scale_factors"] is None:
        return None
    scales = arguments.numbers("scale_factors")
    if len(scales) != 2 or min(scales) <= 0:
        raise ArgumentError(f"it has the scales {scales}")
    return scales[0], scales[1]
