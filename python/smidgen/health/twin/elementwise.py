"""Steps that work value by value, and those that only change the type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from smidgen.functional import dequantize
from smidgen.health.twin.writer import LARGEST, TwinWriter
from smidgen.program import (
    Add,
    Binary,
    Cast,
    ConstantTensor,
    Dequantize,
    DType,
    Gather,
    Lookup,
    Multiply,
    Pad,
    Quantize,
    Unary,
)

LEVELS = 256
_END_LEVELS = 16
_LEAST_SLOPE = 0.5


def _same_value(writer: TwinWriter, step: Quantize | Dequantize) -> None:
    writer.alias(step.output, writer.read(step.input))


def _add(writer: TwinWriter, step: Add) -> None:
    _binary(writer, step, "add")


def _multiply(writer: TwinWriter, step: Multiply) -> None:
    _binary(writer, step, "mul")


def _binary(writer: TwinWriter, step: Add | Multiply, function: str) -> None:
    output = writer.unclamped(step.output)
    writer.add(Binary(writer.read(step.lhs), writer.read(step.rhs), output, function))
    writer.clamped(step.output, output)


def _constant_tensor(writer: TwinWriter, step: ConstantTensor) -> None:
    tensor = writer.source.tensor(step.output)
    if tensor.scale is None:
        writer.copy(step)
        return
    writer.expect_room(*writer.kept(step.value).shape)
    value = dequantize(writer.kept(step.value), tensor.scale, tensor.zero_point)
    output = writer.define(step.output)
    writer.add(ConstantTensor(output, writer.constant(step.output, "value", value)))


def _pad(writer: TwinWriter, step: Pad) -> None:
    is_quantized = writer.source.tensor(step.input).dtype is DType.UINT8
    writer.copy(replace(step, value=0.0) if is_quantized else step)  # the zero point is 0


def _lookup(writer: TwinWriter, step: Lookup) -> None:
    """Interpolates between the table's entries, which are all that is known of the function.

    Beyond the first and the last entry it goes on in a line where the function does so by its
    slope, as SiLU and its like do, and stays where it is elsewhere, as a sigmoid does.
    """
    near, source = step.output, writer.source.tensor(step.input)
    shape = writer.source.tensor(near).shape
    target = writer.source.tensor(near)
    heights = dequantize(writer.kept(step.table), writer.scale(near), target.zero_point)
    slopes, limits = _slopes(heights, writer.scale(step.input))

    def unary(value: str, role: str, function: str, *parameters: float) -> str:
        written = writer.between(near, role, shape)
        writer.add(Unary(value, written, function, parameters))
        return written

    def binary(lhs: str, rhs: str, role: str, function: str) -> str:
        written = writer.between(near, role, shape)
        writer.add(Binary(lhs, rhs, written, function))
        return written

    def entries(table: np.ndarray[Any, np.dtype[np.float32]], places: str, role: str) -> str:
        written = writer.between(near, role, shape)
        writer.add(Gather(writer.constant_tensor(near, f"{role}_table", table), places, written))
        return written

    per_level = np.array([1 / writer.scale(step.input)], np.float32)
    zero_point = np.array([source.zero_point], np.float32)
    steps = writer.constant_tensor(near, "levels_per_unit", per_level)
    shift = writer.constant_tensor(near, "zero_point", zero_point)
    scaled = binary(writer.read(step.input), steps, "scaled", "mul")
    level = unary(binary(scaled, shift, "level", "add"), "limited", "clamp", *limits)
    base = unary(unary(level, "inside", "clamp", 0.0, LEVELS - 2.0), "base", "floor")
    places = writer.between(near, "places", shape, DType.INT64)
    writer.add(Cast(base, places))
    rest = binary(level, base, "rest", "sub")
    rise = binary(rest, entries(slopes, places, "slope"), "rise", "mul")
    writer.add(Binary(entries(heights, places, "height"), rise, writer.define(near), "add"))


def _slopes(
    heights: np.ndarray[Any, np.dtype[np.float32]], input_scale: float
) -> tuple[np.ndarray[Any, np.dtype[np.float32]], tuple[float, float]]:
    """Returns the rise from each entry to the next, and between which levels to interpolate.

    The slopes at the ends are means of several, as entries are rounded.
    """
    slopes = np.diff(heights)
    limits = [0.0, LEVELS - 1.0]
    for end, part in ((0, slopes[:_END_LEVELS]), (-1, slopes[-_END_LEVELS:])):
        slope = float(part.mean())
        if abs(slope) / input_scale >= _LEAST_SLOPE and part[end] != 0.0:
            slopes[end] = slope
            limits[end] = LARGEST if end else -LARGEST
    return slopes, (limits[0], limits[1])


RULES: Mapping[type[Any], Callable[[TwinWriter, Any], None]] = {
    Quantize: _same_value,
    Dequantize: _same_value,
    Add: _add,
    Multiply: _multiply,
    ConstantTensor: _constant_tensor,
    Pad: _pad,
    Lookup: _lookup,
}
