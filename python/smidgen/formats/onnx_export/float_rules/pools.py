"""Windows over images, and images of another size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.float_graph import spatial
from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write
from smidgen.formats.onnx_export.rules.resampling import CORNERS, MODES, resize_scale
from smidgen.graph.operations import AveragePool, GlobalAveragePool, MaxPool, Pair, Resize


def _max_pool(write: Write) -> None:
    pool: MaxPool = write.operation
    write.node(
        "MaxPool",
        write.names,
        kernel_shape=pool.kernel,
        strides=pool.stride,
        pads=(*pool.padding, *_ends(write, pool.kernel, pool.dilation)),
        dilations=pool.dilation,
    )


def _average_pool(write: Write) -> None:
    """A window that reaches past the padding is the mean of what it has of image and padding.

    So the padding that counts is put around the image first, where there are such windows.
    """
    pool: AveragePool = write.operation
    ends, source, starts = _ends(write, pool.kernel, (1, 1)), write.names[0], pool.padding
    counts = pool.count_include_pad
    if counts and ends != pool.padding:
        amounts = np.array([0, 0, *pool.padding, 0, 0, *pool.padding], np.int64)
        pads = write.graph.constant(f"{write.output.name}/pads", amounts)
        source = write.graph.node("Pad", [source, pads])
        ends = (ends[0] - pool.padding[0], ends[1] - pool.padding[1])
        starts, counts = (0, 0), False
    write.node(
        "AveragePool",
        [source],
        kernel_shape=pool.kernel,
        strides=pool.stride,
        pads=(*starts, *ends),
        count_include_pad=int(counts),
    )


def _ends(write: Write, kernel: Pair, dilation: Pair) -> Pair:
    """Returns the padding at bottom and right; a pool that rounds up reads further."""
    pool = write.operation
    if not pool.ceil_mode:
        return pool.padding[0], pool.padding[1]
    found = []
    images = zip(spatial(write.inputs[0]), spatial(write.output), strict=True)
    for axis, (extent, count) in enumerate(images):
        reached = (count - 1) * pool.stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        found.append(max(pool.padding[axis], reached - extent - pool.padding[axis]))
    return found[0], found[1]


def _global_average_pool(write: Write) -> None:
    write.node("GlobalAveragePool", write.names)


def _resize(write: Write) -> None:
    resize: Resize = write.operation
    scales = [
        resize_scale(extent, size, 0.0 if growth is None else 1.0 / growth)
        for extent, size, growth in zip(
            spatial(write.inputs[0]), resize.size, resize.scales or (None, None), strict=True
        )
    ]
    factors = np.array([1.0, 1.0, *scales], np.float32)
    inputs = [*write.names, "", write.graph.constant(f"{write.output.name}/scales", factors)]
    write.node("Resize", inputs, **(CORNERS if resize.align_corners else MODES[resize.mode]))


RULES: Mapping[type[Any], FloatRule] = {
    MaxPool: _max_pool,
    AveragePool: _average_pool,
    GlobalAveragePool: _global_average_pool,
    Resize: _resize,
}
