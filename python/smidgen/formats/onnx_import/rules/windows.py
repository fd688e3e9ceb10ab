"""ONNX operators that slide a window over images: pools, and the geometry of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.formats.onnx_import.call import Call, Result
from smidgen.graph.arguments import ArgumentError, Tensor, UnsupportedCase
from smidgen.graph.operations import Pair
from smidgen.graph.shapes import ShapeError, show

_VOLUME_RANK = 5
_UNPADDED = ("NOTSET", "VALID")


@dataclass(frozen=True, slots=True)
class Window:
    """A window's size and steps, and the padding before and behind the image."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    begins: Pair
    ends: Pair

    @property
    def is_symmetric(self) -> bool:
        """Whether there is as much padding behind as before."""
        return self.begins == self.ends


def window_of(call: Call, kernel: Sequence[int]) -> Window:
    """Returns the geometry that the attributes of a node give."""
    size = _pair("kernel_shape", tuple(kernel))
    stated = call.integers("kernel_shape")
    if stated is not None and _pair("kernel_shape", stated) != size:
        raise ArgumentError(f"its kernel is {list(size)}, stated as {list(stated)}")
    stride = _pair("strides", call.integers("strides") or (1, 1))
    dilation = _pair("dilations", call.integers("dilations") or (1, 1))
    if min(*stride, *dilation, *size) < 1:
        raise ArgumentError(f"it has strides {stride}, dilations {dilation} and kernel {size}")
    mode = padding_mode(call)
    if mode == "NOTSET":
        pads = call.integers("pads") or (0, 0, 0, 0)
        if len(pads) != 4 or min(pads) < 0:
            raise ArgumentError(f"it has the pads {list(pads)}")
        return Window(size, stride, dilation, (pads[0], pads[1]), (pads[2], pads[3]))
    if mode == "VALID":
        return Window(size, stride, dilation, (0, 0), (0, 0))
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ArgumentError(f"it has the padding {mode[:32]!r}")
    image = call.shape(0)[2:]
    if len(image) != 2 or None in image:
        raise ShapeError(f"an operator on images reads the shape {show(call.shape(0))}")
    totals = [
        _same(extent or 1, *numbers)
        for extent, *numbers in zip(image, size, stride, dilation, strict=True)
    ]
    small, large = (
        (totals[0] // 2, totals[1] // 2),
        (totals[0] - totals[0] // 2, totals[1] - totals[1] // 2),
    )
    begins, ends = (small, large) if mode == "SAME_UPPER" else (large, small)
    return Window(size, stride, dilation, begins, ends)


def padding_mode(call: Call) -> str:
    """Returns the attribute auto_pad.

    Raises:
        ArgumentError: The node states its padding too, which ONNX forbids: one would be ignored.
    """
    mode, pads = call.text("auto_pad", "NOTSET"), call.integers("pads")
    if mode != "NOTSET" and pads is not None:
        raise ArgumentError(
            f"it has both auto_pad {mode[:32]!r} and pads {list(pads)}, of which ONNX allows one: "
            "export it with either"
        )
    return mode


def _same(extent: int, kernel: int, stride: int, dilation: int) -> int:
    """Returns how much padding gives ceil(extent / stride) windows."""
    count = -(-extent // stride)
    return max((count - 1) * stride + dilation * (kernel - 1) + 1 - extent, 0)


def padded(call: Call, value: Tensor, window: Window) -> tuple[Tensor, Pair]:
    """Pads where padding is not the same on both sides; returns what is left of it to do."""
    if window.is_symmetric:
        return value, window.begins
    pads = (window.begins[1], window.ends[1], window.begins[0], window.ends[0])
    return call.one("constant_pad_nd.default", self=value, pad=pads), (0, 0)


def max_pool(call: Call) -> Sequence[Result]:
    """MaxPool of images; its second output, the indices, cannot be used."""
    window = window_of(call, call.integers("kernel_shape") or ())
    return call.aten(
        "max_pool2d.default",
        self=call.input(0),
        kernel_size=window.kernel,
        stride=window.stride,
        padding=window.begins,
        dilation=window.dilation,
        ceil_mode=_ceil_mode(call, window),
    )


def average_pool(call: Call) -> Sequence[Result]:
    """AveragePool of images, or along the depth of volumes."""
    if len(call.shape(0)) == _VOLUME_RANK:
        return _average_over_depth(call)
    window = window_of(call, call.integers("kernel_shape") or ())
    if window.dilation != (1, 1):
        raise UnsupportedCase("dilations of an average")
    value, padding = call.input(0), window.begins
    includes = call.integer("count_include_pad", 0) != 0
    if includes and not window.is_symmetric:
        value, padding = padded(call, value, window)
        ceil_mode = call.integer("ceil_mode", 0) != 0
    else:
        ceil_mode = _ceil_mode(call, window)
    return call.aten(
        "avg_pool2d.default",
        self=value,
        kernel_size=window.kernel,
        stride=window.stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=includes,
    )


def _average_over_depth(call: Call) -> Sequence[Result]:
    """Averages along the depth alone, as in a local response normalization."""
    kernel = call.integers("kernel_shape") or ()
    strides = call.integers("strides") or (1, 1, 1)
    dilations = call.integers("dilations") or (1, 1, 1)
    pads = call.integers("pads") or (0,) * 6
    if not len(kernel) == len(strides) == len(dilations) == 3 or len(pads) != 6:
        raise ArgumentError("it has other than three axes of a volume")
    if any(pads) or set(dilations) != {1} or padding_mode(call) not in _UNPADDED:
        raise UnsupportedCase("padding or dilations of an average over volumes")
    return call.aten(
        "avg_pool3d.default",
        self=call.input(0),
        kernel_size=kernel,
        stride=strides,
        ceil_mode=call.integer("ceil_mode", 0) != 0,
    )


def _ceil_mode(call: Call, window: Window) -> bool:
    """Tells whether a last partial window counts, which padding behind alone can say too."""
    stated = call.integer("ceil_mode", 0) != 0
    if window.is_symmetric:
        return stated
    image = call.shape(0)[2:]
    if (
        stated
        or len(image) != 2
        or any(
            more not in (0, 1)
            for more in (end - begin for begin, end in zip(window.begins, window.ends, strict=True))
        )
    ):
        raise UnsupportedCase(f"the pads {window.begins} and {window.ends}")
    for extent, kernel, stride, dilation, begin, end in zip(
        image, window.kernel, window.stride, window.dilation, window.begins, window.ends,
        strict=True,
    ):  # fmt: skip
        span = dilation * (kernel - 1) + 1
        with_end = ((extent or 1) + begin + end - span) // stride + 1
        with_ceil = -(-((extent or 1) + 2 * begin - span) // stride) + 1
        if with_end != with_ceil:
            raise UnsupportedCase(f"the pads {window.begins} and {window.ends}")
    return True


def global_average_pool(call: Call) -> Sequence[Result]:
    """GlobalAveragePool."""
    return _global(call, "adaptive_avg_pool2d.default", "mean.dim")


def global_max_pool(call: Call) -> Sequence[Result]:
    """GlobalMaxPool."""
    return _global(call, "adaptive_max_pool2d.default", "amax.default")[:1]


def _global(call: Call, pool: str, reduction: str) -> list[Result]:
    value = call.input(0)
    if len(value.shape) == 4:
        return list(call.aten(pool, self=value, output_size=(1, 1)))
    axes = tuple(range(2, len(value.shape)))
    return list(call.aten(reduction, self=value, dim=axes, keepdim=True))


def _pair(name: str, numbers: Sequence[int]) -> Pair:
    if len(numbers) != 2:
        raise UnsupportedCase(f"{name} of {len(numbers)} dimensions, expected images")
    return numbers[0], numbers[1]
