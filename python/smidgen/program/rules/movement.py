"""Rules of the steps that move values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from smidgen.program.rules.expectations import (
    ACCUMULATOR_LIMIT,
    check_same_qparams,
    expect,
    expect_axis,
    expect_constant,
    expect_float,
    expect_tensor,
    shapes_agree,
)
from smidgen.program.shapes import Shape, broadcast_shape, reshaped_shape, sliced_extent
from smidgen.program.steps import (
    Concat,
    ConstantTensor,
    Expand,
    Gather,
    Pad,
    Reshape,
    Slice,
    Transpose,
)
from smidgen.program.types import DType, Program, TensorInfo

LARGEST_PAD = 2**12


def _moved(program: Program, step: Reshape | Transpose | Slice | Expand | Pad | Gather) -> Shape:
    """Returns the input's shape, after checking that the output means the same by its bytes."""
    source = program.tensor(step.input)
    check_same_qparams(source, expect_tensor(program, step.output, source.dtype))
    return source.shape


def _constant_tensor(program: Program, step: ConstantTensor) -> Shape:
    output = program.tensor(step.output)
    return expect_constant(program, step.value, output.dtype, output.shape).shape


def _reshape(program: Program, step: Reshape) -> Shape:
    shape = _moved(program, step)
    expect(
        step.shape.count(-1) <= 1 and all(n >= -1 for n in step.shape),
        f"shape is {step.shape}, expected extents, 0, or -1 at most once",
    )
    expect(math.prod(n for n in step.shape if n > 0) < ACCUMULATOR_LIMIT, "shape is too large")
    return reshaped_shape(shape, step.shape)


def _concat(program: Program, step: Concat) -> Shape:
    expect(len(step.inputs) >= 1, "joins nothing")
    output = program.tensor(step.output)
    rank, axis = len(output.shape), step.axis
    expect_axis("axis", axis, rank)
    parts = [expect_tensor(program, name, output.dtype, rank=rank) for name in step.inputs]
    first = parts[0].shape
    for part in parts:
        check_same_qparams(part, output)
        same = shapes_agree(_without(part, axis), _without(parts[0], axis))
        expect(same, f"joins {list(first)} and {list(part.shape)}")
    extents = [part.shape[axis] for part in parts]
    joined = None if None in extents else sum(n for n in extents if n is not None)
    return (*first[:axis], joined, *first[axis + 1 :])


def _without(tensor: TensorInfo, axis: int) -> Shape:
    return (*tensor.shape[:axis], *tensor.shape[axis + 1 :])


def _transpose(program: Program, step: Transpose) -> Shape:
    shape = _moved(program, step)
    expect(
        sorted(step.permutation) == list(range(len(shape))),
        f"permutation is {step.permutation}, expected each of 0 to {len(shape) - 1} once",
    )
    return tuple(shape[axis] for axis in step.permutation)


def _slice(program: Program, step: Slice) -> Shape:
    shape = _moved(program, step)
    expect_axis("axis", step.axis, len(shape))
    expect(step.stride >= 1, f"stride is {step.stride}, expected at least 1")
    extent = sliced_extent(shape[step.axis], step.start, step.stop, step.stride)
    return (*shape[: step.axis], extent, *shape[step.axis + 1 :])


def _expand(program: Program, step: Expand) -> Shape:
    shape = _moved(program, step)
    missing = len(step.shape) - len(shape)
    expect(missing >= 0, f"shape is {step.shape}, expected at least rank {len(shape)}")
    expect(all(n >= 0 for n in step.shape), f"shape is {step.shape}, expected extents or 0")
    expect(0 not in step.shape[:missing], f"shape is {step.shape}, with a 0 that keeps nothing")
    kept: Shape = tuple(shape[axis - missing] if n == 0 else n for axis, n in enumerate(step.shape))
    expanded = broadcast_shape(shape, kept)
    expect(shapes_agree(expanded, kept), f"{list(shape)} cannot be expanded to {list(kept)}")
    return kept


def _pad(program: Program, step: Pad) -> Shape:
    shape = _moved(program, step)
    expect(len(step.pads) == len(shape), f"pads {len(step.pads)} axes of {len(shape)}")
    expect_float("value", step.value)
    expect(
        all(0 <= n <= LARGEST_PAD for pair in step.pads for n in pair),
        f"pads are {step.pads}, expected values from 0 to {LARGEST_PAD}",
    )
    return tuple(
        None if n is None else before + n + behind
        for n, (before, behind) in zip(shape, step.pads, strict=True)
    )


def _gather(program: Program, step: Gather) -> Shape:
    shape = _moved(program, step)
    expect_axis("axis", step.axis, len(shape))
    indices = expect_tensor(program, step.indices, DType.INT64).shape
    return (*shape[: step.axis], *indices, *shape[step.axis + 1 :])


RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {
    ConstantTensor: _constant_tensor,
    Reshape: _reshape,
    Concat: _concat,
    Transpose: _transpose,
    Slice: _slice,
    Expand: _expand,
    Pad: _pad,
    Gather: _gather,
}
