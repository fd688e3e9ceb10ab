"""Checks a program once, so that interpreter and engine can run it without checking again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.program.packing import check_packing
from smidgen.program.rules import RULES
from smidgen.program.rules.expectations import (
    ACCUMULATOR_LIMIT,
    expect,
    expect_tensor,
    is_scale,
    shapes_agree,
)
from smidgen.program.steps import Step, step_inputs
from smidgen.program.types import DType, Program, TensorInfo

LARGEST_RANK = 8
LONGEST_NAME = 512
MOST_STEPS = 2**12
MOST_TENSORS = 2**13

_TENSOR_DTYPES = (DType.UINT8, DType.FLOAT32, DType.INT64, DType.BOOL)
_DTYPES = frozenset(dtype.numpy for dtype in DType)


def verify(program: Program) -> None:
    """Checks that a program keeps every rule of docs/arithmetic.md.

    Raises:
        ProgramError: it breaks one; the message names the step or tensor.
    """
    # Planning the memory of a run takes time that grows with the square of these.
    expect(len(program.steps) <= MOST_STEPS, f"the program has more than {MOST_STEPS} steps")
    expect(len(program.tensors) <= MOST_TENSORS, f"it has more than {MOST_TENSORS} tensors")
    reads = sum(len(step_inputs(step)) for step in program.steps) + len(program.outputs)
    expect(reads <= 4 * MOST_TENSORS, f"its steps and outputs name {reads} tensors, too many")
    for name, tensor in program.tensors.items():
        _check_tensor(name, tensor)
    written: set[str] = set()
    for name in program.inputs:
        expect(name in program.tensors, f"input {name} is not among the tensors")
        expect(name not in written, f"input {name} is declared twice")
        written.add(name)
    for index, step in enumerate(program.steps):
        _verify_step(program, index, step, written)
    for name, constant in program.constants.items():
        _check_constant(name, constant)
    for name, packing in program.packing.items():
        expect(name in program.constants, f"packed weight {name} is not among the constants")
        check_packing(name, packing, program.constants[name])
    expect(len(program.outputs) > 0, "the program has no outputs")
    for name in program.outputs:
        expect(name in written, f"output {name} is never written")
    unused = program.tensors.keys() - written
    expect(not unused, f"tensors {sorted(unused)[:8]} are never written")
    _check_health(program)


def _check_health(program: Program) -> None:
    """Checks that what is remembered of the calibration is of this program's tensors."""
    if program.health is None:
        return
    for name in program.health.named:
        expect(name in program.tensors, f"the health reference names {name[:80]!r}, no tensor")
    for name in program.health.tensors:
        expect_tensor(program, name, DType.UINT8)


def _verify_step(program: Program, index: int, step: Step, written: set[str]) -> None:
    label = f"step {index} ({type(step).__name__}, writes {step.output})"
    try:
        for name in step_inputs(step):
            expect(name in written, f"reads {name} before it is written")
        expect(step.output in program.tensors, "writes a tensor that is not declared")
        expect(step.output not in written, "writes a tensor that already has a value")
        expected = RULES[type(step)](program, step)
        found = program.tensor(step.output).shape
        expect(
            shapes_agree(found, expected),
            f"declares shape {list(found)}, expected {list(expected)}",
        )
    except ProgramError as error:
        raise ProgramError(f"{label}: {error.message}", reason=error.reason, step=index) from None
    written.add(step.output)


def _check_tensor(key: str, tensor: TensorInfo) -> None:
    name = tensor.name
    expect(key == name, f"tensor {name} is listed under {key}")
    expect(
        0 < len(name) <= LONGEST_NAME and name.isprintable(),
        f"a tensor has the name {name[:80]!r}, expected 1 to {LONGEST_NAME} printable characters",
    )
    expect(1 <= len(tensor.shape) <= LARGEST_RANK, f"tensor {name} has rank {len(tensor.shape)}")
    expect(
        all(n is None or 1 <= n < ACCUMULATOR_LIMIT for n in tensor.shape),
        f"tensor {name} has shape {list(tensor.shape)}, expected positive extents",
    )
    if tensor.dtype is DType.UINT8:
        expect(is_scale(tensor.scale), f"tensor {name} has scale {tensor.scale}")
        expect(0 <= tensor.zero_point <= 255, f"tensor {name}: zero point {tensor.zero_point}")
    else:
        expect(tensor.dtype in _TENSOR_DTYPES, f"tensor {name} is {tensor.dtype}")
        expect(
            tensor.scale is None and tensor.zero_point == 0,
            f"{tensor.dtype} tensor {name} has a scale or zero point",
        )


def _check_constant(name: str, constant: NDArray[Any]) -> None:
    expect(
        constant.dtype in _DTYPES and constant.ndim <= LARGEST_RANK,
        f"constant {name} is {constant.dtype} of rank {constant.ndim}, expected "
        f"{', '.join(DType)} and a rank up to {LARGEST_RANK}",
    )
    if constant.dtype == DType.BOOL.numpy:
        # A file may hold any byte for a bool.
        is_bool = bool((np.ascontiguousarray(constant).view(np.uint8) <= 1).all())
        expect(is_bool, f"constant {name} has a bool that is neither 0 nor 1")
