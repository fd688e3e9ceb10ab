"""ONNX's Resize of images."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.formats.onnx_import.call import Call, Result
from smidgen.graph.arguments import ArgumentError, UnsupportedCase, Value

_NEAREST = {
    ("asymmetric", "floor"): "upsample_nearest2d.vec",
    ("half_pixel", "round_prefer_ceil"): "_upsample_nearest_exact2d.vec",
}

_PLACES = ("coordinate_transformation_mode", "half_pixel")
_EXACT_PLACES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
"""By these each pixel comes from itself where the size stays, and every mode keeps it then."""


def resize(call: Call) -> Sequence[Result]:
    """Resize of height and width, nearest or bilinear, as torch does it."""
    value, shape = call.input(0), call.shape(0)
    if len(shape) != 4 or call.integer("antialias", 0) or call.integers("axes") is not None:
        raise UnsupportedCase("a resizing of other than images, or against aliases")
    size = _output_size(call)
    if size == shape[2:] and call.text(*_PLACES) in _EXACT_PLACES:
        return [value]
    target, extra = _target(call)
    if size is not None:
        return call.aten(target, input=value, output_size=size, scale_factors=None, **extra)
    scales = tuple(float(scale) for scale in call.array(2).reshape(-1))
    if len(scales) != 4 or scales[:2] != (1.0, 1.0):
        raise UnsupportedCase(f"the scales {scales[:8]}")
    return call.aten(target, input=value, output_size=None, scale_factors=scales[2:], **extra)


def _target(call: Call) -> tuple[str, dict[str, Value]]:
    mode = call.text("mode", "nearest")
    places = call.text(*_PLACES)
    if mode == "nearest":
        rounding = call.text("nearest_mode", "round_prefer_floor")
        if (places, rounding) not in _NEAREST:
            raise UnsupportedCase(f"the nearest of {places[:32]} by {rounding[:32]}")
        return _NEAREST[places, rounding], {}
    if mode != "linear" or places not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise UnsupportedCase(f"the mode {mode[:32]} of {places[:32]}")
    return "upsample_bilinear2d.vec", {"align_corners": places == "align_corners"}


def _output_size(call: Call) -> tuple[int, int] | None:
    if not call.has(3):
        if not call.has(2):
            raise ArgumentError("it has neither a size nor scales")
        return None
    sizes = call.sizes(3)
    if len(sizes) != 4 or not all(isinstance(size, int) for size in sizes[2:]):
        raise UnsupportedCase("an image size that depends on the batch")
    shape = call.shape(0)
    for size, extent in zip(sizes[:2], shape[:2], strict=True):
        if isinstance(size, int) and extent is not None and size != extent:
            raise UnsupportedCase("a resizing of other axes than height and width")
    height, width = sizes[2], sizes[3]
    assert isinstance(height, int)
    assert isinstance(width, int)
    return height, width
