"""Operations that move values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.float_graph import extents
from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write
from smidgen.graph.operations import (
    Concat,
    Constant,
    Expand,
    Flatten,
    Pad,
    Reshape,
    Slice,
    Transpose,
)


def _constant(write: Write) -> None:
    write.graph.define(write.output.name, np.asarray(write.graph.array(write.operation.name)))


def _flatten(write: Write) -> None:
    write.node("Flatten", write.names, axis=1)


def _reshape(write: Write) -> None:
    shape = write.graph.constant(f"{write.output.name}/shape", extents(write.operation.shape))
    write.node("Reshape", [*write.names, shape])


def _concat(write: Write) -> None:
    write.node("Concat", write.names, axis=write.operation.axis)


def _transpose(write: Write) -> None:
    write.node("Transpose", write.names, perm=write.operation.permutation)


def _slice(write: Write) -> None:
    part: Slice = write.operation
    bounds = {"start": part.start, "stop": part.stop, "axis": part.axis, "step": part.step}
    constants = [
        write.graph.constant(f"{write.output.name}/{name}", np.array([value], np.int64))
        for name, value in bounds.items()
    ]
    write.node("Slice", [*write.names, *constants])


def _expand(write: Write) -> None:
    """ONNX keeps an extent of the input where the shape says 1."""
    shape = np.array([extent or 1 for extent in write.operation.shape], np.int64)
    write.node("Expand", [*write.names, write.graph.constant(f"{write.output.name}/shape", shape)])


def _pad(write: Write) -> None:
    pad: Pad = write.operation
    amounts = [*(before for before, _ in pad.pads), *(behind for _, behind in pad.pads)]
    name = write.output.name
    constants = [
        write.graph.constant(f"{name}/pads", np.array(amounts, np.int64)),
        write.graph.constant(f"{name}/value", np.asarray(pad.value).astype(write.output.dtype)),
    ]
    write.node("Pad", [*write.names, *constants])


RULES: Mapping[type[Any], FloatRule] = {
    Constant: _constant,
    Flatten: _flatten,
    Reshape: _reshape,
    Concat: _concat,
    Transpose: _transpose,
    Slice: _slice,
    Expand: _expand,
    Pad: _pad,
}
