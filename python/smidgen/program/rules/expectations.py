"""What rules of several families expect of tensors and constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.program.shapes import Shape
from smidgen.program.types import DType, Program, TensorInfo
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE

ACCUMULATOR_LIMIT = 2**31


def is_scale(value: float | None) -> bool:
    """Tells whether a value is a float32 within the range of scales."""
    return (
        value is not None
        and SMALLEST_SCALE <= value <= LARGEST_SCALE
        and float(np.float32(value)) == value
    )


def shapes_agree(found: Shape, expected: Shape) -> bool:
    """A declared extent must equal the computed one, unless one of the two is not known."""
    return len(found) == len(expected) and all(
        a == b or a is None or b is None for a, b in zip(found, expected, strict=True)
    )


def expect(holds: bool, message: str) -> None:
    """Raises ProgramError with the message unless the condition holds."""
    if not holds:
        raise ProgramError(message)


def expect_tensor(program: Program, name: str, dtype: DType, rank: int | None = None) -> TensorInfo:
    """Returns a tensor that must have the type and, if one is given, the rank."""
    tensor = program.tensor(name)
    expect(tensor.dtype is dtype, f"{name} is {tensor.dtype}, expected {dtype}")
    found = len(tensor.shape)
    expect(rank is None or found == rank, f"{name} has rank {found}, expected {rank}")
    return tensor


def expect_constant(
    program: Program, name: str, dtype: DType, shape: tuple[int | None, ...]
) -> NDArray[Any]:
    """Returns a constant that must have the type and, where known, the extents."""
    expect(name in program.constants, f"constant {name} is missing")
    array = program.constants[name]
    found = f"{array.dtype.name} {list(array.shape)}"
    wanted = f"{dtype} {['any' if n is None else n for n in shape]}"
    expect(
        array.dtype == dtype.numpy and shapes_agree(array.shape, shape),
        f"constant {name} is {found}, expected {wanted}",
    )
    expect(array.size > 0, f"constant {name} is empty")
    return array


def check_clamp(qmin: int, qmax: int) -> None:
    """Checks that a clamp lies within uint8."""
    expect(0 <= qmin <= qmax <= 255, f"clamp is [{qmin}, {qmax}], expected 0 <= qmin <= qmax")


def check_same_qparams(source: TensorInfo, target: TensorInfo) -> None:
    """Checks that two tensors mean the same by the same bytes."""
    expect(
        (source.scale, source.zero_point) == (target.scale, target.zero_point),
        f"{source.name} and {target.name} differ in scale or zero point, expected equal ones",
    )


def expect_float(name: str, value: float) -> None:
    """Checks that a parameter is a finite float32 value, so that the engine gets it as it is."""
    expect(
        math.isfinite(value) and abs(value) <= float(np.finfo(np.float32).max),
        f"{name} is {value}, expected a finite float32",
    )
    expect(float(np.float32(value)) == value, f"{name} is {value}, expected a float32 value")


def expect_axis(name: str, axis: int, rank: int) -> None:
    """Checks that an axis exists."""
    expect(0 <= axis < rank, f"{name} is {axis}, expected 0 to {rank - 1}")


def check_weight_scale(scales: NDArray[Any], name: str) -> None:
    """Checks that all scales of a constant lie within the range of scales."""
    expect(
        bool(((scales >= SMALLEST_SCALE) & (scales <= LARGEST_SCALE)).all()),
        f"{name} has a value outside [2**-60, 2**60]",
    )
