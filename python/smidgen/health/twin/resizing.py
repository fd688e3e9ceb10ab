"""Images of another size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.functional import nearest_places, neighbours
from smidgen.health.twin.writer import TwinWriter
from smidgen.program import Gather, MatMul, Resize


def _resize(writer: TwinWriter, step: Resize) -> None:
    extents = writer.extents(step.input)
    if step.mode == "bilinear":
        _interpolate(writer, step, extents)
    else:
        _pick(writer, step, extents)


def _pick(writer: TwinWriter, step: Resize, extents: tuple[int, int]) -> None:
    near, value = step.output, writer.read(step.input)
    shape = list(writer.source.tensor(step.input).shape)
    is_exact = step.mode == "nearest_exact"
    for axis in (0, 1):
        places = nearest_places(step.size[axis], step.ratio[axis], extents[axis], is_exact=is_exact)
        indices = writer.constant_tensor(near, f"places{axis}", places)
        shape[axis + 2] = step.size[axis]
        picked = writer.between(near, f"picked{axis}", tuple(shape))
        writer.add(Gather(value, indices, picked, axis + 2))
        value = picked
    writer.alias(near, value)


def _interpolate(writer: TwinWriter, step: Resize, extents: tuple[int, int]) -> None:
    near = step.output
    rows, columns = (
        writer.constant_tensor(near, f"weights{axis}", _weights(writer, step, axis, extents[axis]))
        for axis in (0, 1)
    )
    images, channels, _, width = writer.source.tensor(step.input).shape
    between = writer.between(near, "rows", (images, channels, step.size[0], width))
    writer.add(MatMul(rows, writer.read(step.input), between))
    writer.add(MatMul(between, columns, writer.define(near), transpose_rhs=True))


def _weights(writer: TwinWriter, step: Resize, axis: int, extent: int) -> NDArray[np.float32]:
    """Returns [size, extent]: how much of each pixel is in each one of the output."""
    writer.expect_room(step.size[axis], extent)
    first, second, share = neighbours(
        step.size[axis], step.ratio[axis], extent, align_corners=step.align_corners
    )
    weights = np.zeros((step.size[axis], extent), np.float32)
    places = np.arange(step.size[axis])
    np.add.at(weights, (places, first), 1 - share)
    np.add.at(weights, (places, second), share)
    return weights


RULES: Mapping[type[Any], Callable[[TwinWriter, Any], None]] = {Resize: _resize}
