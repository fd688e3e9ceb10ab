"""What calls of the ATen operators that create tensors mean: ranges, fillings, triangles.

Needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.graph import operations as ops
from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    Arguments,
    BatchMultiple,
    BatchRange,
    BatchSize,
    Constant,
    TypeNumber,
    UnsupportedCase,
)
from smidgen.graph.constant_limit import MOST_CONSTANT_ELEMENTS, check_constant
from smidgen.graph.lowered import Computed, Forwarded, Lowered
from smidgen.graph.operations import BOOL, FLOAT32, INT64, Shape

_NARROW_INTEGERS = frozenset({"int32", "int16", "int8", "uint8"})
_SAMPLES = {"start": 0, "end": BATCH_SIZE, "step": 1}
"""The range that counts the samples."""


def arange(arguments: Arguments) -> Lowered:
    """aten.arange.default, aten.arange.start and aten.arange.start_step."""
    dtype = arguments["dtype"]
    stated = {name: arguments[name] for name in ("start", "end", "step") if name in arguments}
    is_float = any(isinstance(bound, float) for bound in stated.values())
    name = dtype.name if isinstance(dtype, TypeNumber) else FLOAT32 if is_float else INT64
    if name in _NARROW_INTEGERS:
        name = INT64  # as which the graph has all integers
    if isinstance(stated["end"], BatchSize | BatchMultiple):
        if name != INT64 or _SAMPLES | stated != _SAMPLES:
            raise UnsupportedCase("a range up to the batch size other than 0, 1, 2, ...")
        return Forwarded(BatchRange())
    if name not in (FLOAT32, INT64) or (is_float and name == INT64):
        raise UnsupportedCase(f"a range of {name}")
    read = arguments.number if is_float else arguments.integer
    numbers = {"start": 0, "step": 1} | {key: read(key) for key in stated}
    start, end, step = (numbers[key] for key in ("start", "end", "step"))
    steps = (end - start) / step if step else 0
    if not 0 < steps <= MOST_CONSTANT_ELEMENTS:
        raise UnsupportedCase(f"a range from {start:g} to {end:g} by {step:g}")
    places: NDArray[Any] = np.arange(math.ceil(steps), dtype=np.float64 if is_float else np.int64)
    places *= step  # in place: a file may have a hundred ranges
    places += start
    return Forwarded(Constant(places.astype(name, copy=False)))


def linspace(arguments: Arguments) -> Lowered:
    """aten.linspace.default."""
    dtype, count = arguments["dtype"], arguments.integer("steps")
    if isinstance(dtype, TypeNumber) and dtype.name != FLOAT32:
        raise UnsupportedCase(f"a range of {dtype.name}")
    if not 0 < count <= MOST_CONSTANT_ELEMENTS:
        raise UnsupportedCase(f"a range of {count} numbers")
    places = np.linspace(arguments.number("start"), arguments.number("end"), count)
    return Forwarded(Constant(places.astype(np.float32)))


def filled(number: float | None, arguments: Arguments) -> Lowered:
    """aten.new_ones, aten.ones, aten.zeros and aten.full."""
    sizes = arguments.sizes("size")
    shape = tuple(None if isinstance(size, BatchSize) else size for size in sizes)
    value = _filling(arguments) if number is None else number
    dtype = arguments["dtype"]
    name = dtype.name if isinstance(dtype, TypeNumber) else FLOAT32
    if dtype is None and "self" in arguments:
        name = arguments.tensor("self").dtype
    return _filled(value, shape, name)


def filled_like(number: float | None, arguments: Arguments) -> Lowered:
    """aten.zeros_like, aten.ones_like and aten.full_like."""
    like, dtype = arguments.tensor("self"), arguments["dtype"]
    value = _filling(arguments) if number is None else number
    return _filled(value, like.shape, dtype.name if isinstance(dtype, TypeNumber) else like.dtype)


def _filling(arguments: Arguments) -> float:
    """Returns what a tensor is filled with; masks are filled with minus infinity."""
    value = arguments["fill_value"]
    return -math.inf if value == -math.inf else arguments.number("fill_value")


def triangle(part: Callable[..., NDArray[Any]], arguments: Arguments) -> Lowered:
    """aten.triu.default and aten.tril.default of a constant, as masks are made of."""
    value = arguments.tensor("self")
    if isinstance(value, Activation):
        raise UnsupportedCase("a triangle of what is computed from the inputs")
    if len(value.shape) < 2:
        raise ArgumentError(f"it has {len(value.shape)} axes, expected at least two")
    return Forwarded(Constant(part(value.array, arguments.integer("diagonal"))))


def _filled(value: float, shape: Shape, dtype: str) -> Lowered:
    extents = [1 if extent is None else extent for extent in shape]
    check_constant(*extents)
    if dtype not in (FLOAT32, INT64, BOOL):
        raise UnsupportedCase(f"a filled tensor of {dtype}")
    if dtype != FLOAT32 and abs(value) >= 1 << 63:
        raise UnsupportedCase(f"a tensor of {dtype} filled with {value}")
    constant = Constant(np.full(extents, value, dtype))
    return Computed((ops.Expand(shape),), (constant,)) if None in shape else Forwarded(constant)
