"""Windows of which the file wants the result in floats, from steps that there are.

The engine's convolutions of bytes, and its pools, write bytes. Where a model reads such a result as
it is, the values of each tap of the window are taken apart first, and then multiplied and added, or
compared. Of quantized values the sums are exact integers, as in any other layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen import program as steps
from smidgen.formats.onnx_import.quantized.integer_steps import (
    layer_constants,
    pool_padding,
)
from smidgen.formats.onnx_import.quantized.plan import counts_whole_windows
from smidgen.formats.onnx_import.quantized.weights import UnsupportedWeightsError
from smidgen.formats.onnx_import.quantized.writer import Writer
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import Pair, Shape
from smidgen.program.step_fields import both_ends, requested_shape
from smidgen.program.steps import Padding
from smidgen.qparams import QParams

_LOWEST = float(np.finfo(np.float32).min)
_MOST_TAPS = 64


class _Windows:
    """Takes the values of each tap of a node's windows, in the form of what it reads."""

    def __init__(self, writer: Writer, node: ExportedNode, qparams: QParams | None) -> None:
        self._writer = writer
        self._node = node
        self._qparams = qparams

    def taps(
        self, source: str, shape: Shape, geometry: tuple[Pair, Pair, Padding, Pair], fill: float
    ) -> list[str]:
        """Returns one tensor [N, C, OH, OW] for each tap, row by row.

        Args:
            source: The tensor [N, C, H, W].
            shape: Its shape.
            geometry: Kernel, stride, padding and dilation.
            fill: What stands in the padding of floats.
        """
        kernel, stride, padding, dilation = geometry
        if kernel[0] * kernel[1] > _MOST_TAPS:
            raise UnsupportedWeightsError(
                f"gives floats from windows of {kernel[0] * kernel[1]} values, "
                f"expected at most {_MOST_TAPS}"
            )
        source, shape = self._padded(source, shape, padding, fill)
        found = []
        for row in range(kernel[0]):
            start = row * dilation[0]
            rows, cut = self._sliced(source, shape, 2, (start, stride[0]))
            for column in range(kernel[1]):
                start = column * dilation[1]
                found.append(self._sliced(rows, cut, 3, (start, stride[1]))[0])
        return found

    def declared(self, role: str, shape: Shape) -> str:
        """Declares a tensor of the form of the source."""
        if self._qparams is None:
            return self._writer.new_plain(self._node, role, shape)
        return self._writer.new_bytes(self._node, role, shape, self._qparams)

    def _padded(
        self, source: str, shape: Shape, padding: Padding, fill: float
    ) -> tuple[str, Shape]:
        if not any(padding):
            return source, shape
        top, left, bottom, right = padding
        pads = ((0, 0), (0, 0), (top, bottom), (left, right))
        height, width = (shape[2] or 1) + top + bottom, (shape[3] or 1) + left + right
        larger = (*shape[:2], height, width)
        output = self.declared("padded", larger)
        self._writer.add(steps.Pad(source, output, pads, fill if self._qparams is None else 0.0))
        return output, larger

    def _sliced(
        self, source: str, shape: Shape, axis: int, places: tuple[int, int]
    ) -> tuple[str, Shape]:
        (start, stride), count = places, self._node.shape[axis] or 1
        stop = start + (count - 1) * stride + 1
        cut = (*shape[:axis], count, *shape[axis + 1 :])
        if cut == shape:
            return source, shape
        output = self.declared("tap", cut)
        self._writer.add(steps.Slice(source, output, axis, start, stop, stride))
        return output, cut


def write_exact_conv(writer: Writer, node: ExportedNode) -> None:
    """Writes a convolution of bytes in one group as a linear layer of all taps."""
    conv = node.operation
    assert isinstance(conv, ops.Conv2d)
    number = node.inputs[0]
    windows = _Windows(writer, node, writer.plan.exact[number])
    source = writer.bytes_of(number)
    taps = windows.taps(source, writer.plan.shapes[number], _geometry(writer, conv), 0.0)
    batch, outputs, height, width = node.shape
    channels = len(taps) * (writer.plan.shapes[number][1] or 1)
    columns = taps[0]
    if len(taps) > 1:
        columns = windows.declared("columns", (batch, channels, height, width))
        writer.add(steps.Concat(tuple(taps), columns, 1))
    pixels = windows.declared("pixels", (batch, height, width, channels))
    writer.add(steps.Transpose(columns, pixels, (0, 2, 3, 1)))
    places = (height or 1) * (width or 1)
    rows_shape = (batch, places, channels)
    rows = windows.declared("rows", rows_shape)
    writer.add(steps.Reshape(pixels, rows, requested_shape(rows_shape)))
    sums = writer.new_plain(node, "sums", (batch, places, outputs))
    writer.add(steps.Linear(rows, sums, *_row_constants(writer, node, conv)))
    joined = (batch, height, width, outputs)
    image = writer.new_plain(node, "image", joined)
    writer.add(steps.Reshape(sums, image, requested_shape(joined)))
    writer.add(steps.Transpose(image, writer.define_plain(node), (0, 3, 1, 2)))


def _row_constants(writer: Writer, node: ExportedNode, conv: ops.Conv2d) -> tuple[str, str, str]:
    """Returns the constants with the weights [O, taps * C] in the order of the rows."""
    return layer_constants(
        writer, node, conv, lambda weight: weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    )


def write_max_pool(writer: Writer, node: ExportedNode) -> None:
    """Writes the maximum of all taps."""
    pool = node.operation
    assert isinstance(pool, ops.MaxPool)
    number = node.inputs[0]
    shape = writer.plan.shapes[number]
    padding = pool_padding(pool, shape, node.shape)
    geometry = (pool.kernel, pool.stride, padding, pool.dilation)
    taps = _Windows(writer, node, None).taps(writer.plain(number), shape, geometry, _LOWEST)
    _write_chain(writer, node, taps, "maximum")


def write_average_pool(writer: Writer, node: ExportedNode) -> None:
    """Writes the sum of all taps divided by how many of them count."""
    pool = node.operation
    assert isinstance(pool, ops.AveragePool)
    number = node.inputs[0]
    shape = writer.plan.shapes[number]
    if not counts_whole_windows(pool, shape, node.shape):
        raise UnsupportedWeightsError("rounds its extent up, expected ceil_mode 0")
    geometry = (pool.kernel, pool.stride, both_ends(pool.padding), (1, 1))
    taps = _Windows(writer, node, None).taps(writer.plain(number), shape, geometry, 0.0)
    total = taps[0]
    for tap in taps[1:]:
        output = writer.new_plain(node, "sum", node.shape)
        writer.add(steps.Binary(total, tap, output, "add"))
        total = output
    counts = writer.plain_constant(node, "counts", _counts(pool, shape, node.shape))
    writer.add(steps.Binary(total, counts, writer.define_plain(node), "div"))


def repeats_pixels(resize: ops.Resize, source: Shape) -> bool:
    """Tells whether a resize writes every pixel a whole number of times."""
    extents = [extent or 1 for extent in source[2:]]
    factors = tuple(size / extent for size, extent in zip(resize.size, extents, strict=True))
    is_whole = all(factor.is_integer() for factor in factors)
    return resize.mode != "bilinear" and is_whole and resize.scales in (None, factors)


def write_repeated(writer: Writer, node: ExportedNode) -> None:
    """Writes an image of another size in which every pixel is repeated."""
    resize = node.operation
    assert isinstance(resize, ops.Resize)
    number = node.inputs[0]
    batch, channels, height, width = writer.plan.shapes[number]
    if not repeats_pixels(resize, (batch, channels, height, width)):
        raise UnsupportedWeightsError("gives floats in other than a whole multiple of the size")
    rows, columns = resize.size[0] // (height or 1), resize.size[1] // (width or 1)
    apart: Shape = (batch, channels, height, 1, width, 1)
    repeated: Shape = (batch, channels, height, rows, width, columns)
    pixels, copies = (
        writer.new_plain(node, role, shape)
        for role, shape in (("pixels", apart), ("copies", repeated))
    )
    writer.add(steps.Reshape(writer.plain(number), pixels, requested_shape(apart)))
    writer.add(steps.Expand(pixels, copies, requested_shape(repeated)))
    writer.add(steps.Reshape(copies, writer.define_plain(node), requested_shape(node.shape)))


def _counts(pool: ops.AveragePool, source: Shape, target: Shape) -> np.ndarray:
    """Returns the number of values of each window, [OH, OW], or one number for all."""
    if pool.count_include_pad or pool.padding == (0, 0):
        return np.full(1, pool.kernel[0] * pool.kernel[1], np.float32)
    along = []
    for axis in (0, 1):
        starts = np.arange(target[axis + 2] or 1) * pool.stride[axis] - pool.padding[axis]
        ends = np.minimum(starts + pool.kernel[axis], source[axis + 2] or 1)
        along.append(ends - np.maximum(starts, 0))
    return np.asarray(np.outer(*along), np.float32)


def _write_chain(writer: Writer, node: ExportedNode, parts: Sequence[str], function: str) -> None:
    if len(parts) == 1:
        writer.add(steps.Reshape(parts[0], writer.define_plain(node), requested_shape(node.shape)))
        return
    result = parts[0]
    for index, part in enumerate(parts[1:], 2):
        is_last = index == len(parts)
        output = writer.define_plain(node) if is_last else writer.new_plain(node, "sum", node.shape)
        writer.add(steps.Binary(result, part, output, function))
        result = output


def _geometry(writer: Writer, conv: ops.Conv2d) -> tuple[Pair, Pair, Padding, Pair]:
    height, width = writer.weights[conv.weight].shape[2:]
    return (height, width), conv.stride, both_ends(conv.padding), conv.dilation
