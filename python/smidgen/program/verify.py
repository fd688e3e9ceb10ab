"""Checks a program once, so that interpreter and engine can run it without checking again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.functional import requantize_multipliers
from smidgen.program.shapes import Shape, reshaped_shape, windowed_shape
from smidgen.program.steps import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dequantize,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Padding,
    Quantize,
    Reshape,
    Step,
    step_inputs,
)
from smidgen.program.types import DType, Program, TensorInfo
from smidgen.qparams import LARGEST_SCALE, SMALLEST_SCALE, WEIGHT_QMAX

ACCUMULATOR_LIMIT = 2**31
LARGEST_WINDOW = 2**12
LARGEST_RANK = 8
LONGEST_NAME = 512
MOST_STEPS = 2**12
MOST_TENSORS = 2**13

_DTYPES = frozenset(dtype.numpy for dtype in DType)


def verify(program: Program) -> None:
    """Checks that a program keeps every rule of docs/arithmetic.md.

    Raises:
        ProgramError: it breaks one; the message names the step or tensor.
    """
    # Planning the memory of a run takes time that grows with the square of these.
    _expect(len(program.steps) <= MOST_STEPS, f"the program has more than {MOST_STEPS} steps")
    _expect(len(program.tensors) <= MOST_TENSORS, f"it has more than {MOST_TENSORS} tensors")
    reads = sum(len(step_inputs(step)) for step in program.steps) + len(program.outputs)
    _expect(reads <= 4 * MOST_TENSORS, f"its steps and outputs name {reads} tensors, too many")
    for name, tensor in program.tensors.items():
        _check_tensor(name, tensor)
    written: set[str] = set()
    for name in program.inputs:
        _expect(name in program.tensors, f"input {name} is not among the tensors")
        _expect(name not in written, f"input {name} is declared twice")
        written.add(name)
    for index, step in enumerate(program.steps):
        _verify_step(program, index, step, written)
    for name, constant in program.constants.items():
        _check_constant(name, constant)
    _expect(len(program.outputs) > 0, "the program has no outputs")
    for name in program.outputs:
        _expect(name in written, f"output {name} is never written")
    unused = program.tensors.keys() - written
    _expect(not unused, f"tensors {sorted(unused)[:8]} are never written")


def _verify_step(program: Program, index: int, step: Step, written: set[str]) -> None:
    label = f"step {index} ({type(step).__name__}, writes {step.output})"
    try:
        for name in step_inputs(step):
            _expect(name in written, f"reads {name} before it is written")
        _expect(step.output in program.tensors, "writes a tensor that is not declared")
        _expect(step.output not in written, "writes a tensor that already has a value")
        expected = _RULES[type(step)](program, step)
        found = program.tensor(step.output).shape
        _expect(
            _shapes_agree(found, expected),
            f"declares shape {list(found)}, expected {list(expected)}",
        )
    except ProgramError as error:
        raise ProgramError(f"{label}: {error.message}", reason=error.reason, step=index) from None
    written.add(step.output)


def _check_tensor(key: str, tensor: TensorInfo) -> None:
    name = tensor.name
    _expect(key == name, f"tensor {name} is listed under {key}")
    _expect(
        0 < len(name) <= LONGEST_NAME and name.isprintable(),
        f"a tensor has the name {name[:80]!r}, expected 1 to {LONGEST_NAME} printable characters",
    )
    _expect(1 <= len(tensor.shape) <= LARGEST_RANK, f"tensor {name} has rank {len(tensor.shape)}")
    _expect(
        all(n is None or 1 <= n < ACCUMULATOR_LIMIT for n in tensor.shape),
        f"tensor {name} has shape {list(tensor.shape)}, expected positive extents",
    )
    if tensor.dtype is DType.UINT8:
        _expect(_is_scale(tensor.scale), f"tensor {name} has scale {tensor.scale}")
        _expect(0 <= tensor.zero_point <= 255, f"tensor {name}: zero point {tensor.zero_point}")
    else:
        _expect(tensor.dtype is DType.FLOAT32, f"tensor {name} is {tensor.dtype}")
        _expect(tensor.scale is None, f"float tensor {name} has a scale")


def _check_constant(name: str, constant: NDArray[Any]) -> None:
    _expect(
        constant.dtype in _DTYPES and constant.ndim <= LARGEST_RANK,
        f"constant {name} is {constant.dtype} of rank {constant.ndim}, expected "
        f"{', '.join(DType)} and a rank up to {LARGEST_RANK}",
    )


def _is_scale(value: float | None) -> bool:
    return (
        value is not None
        and SMALLEST_SCALE <= value <= LARGEST_SCALE
        and float(np.float32(value)) == value
    )


def _shapes_agree(found: Shape, expected: Shape) -> bool:
    """A declared extent must equal the computed one, unless one of the two is not known."""
    return len(found) == len(expected) and all(
        a == b or a is None or b is None for a, b in zip(found, expected, strict=True)
    )


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise ProgramError(message)


def _typed(program: Program, name: str, dtype: DType, rank: int | None = None) -> TensorInfo:
    tensor = program.tensor(name)
    _expect(tensor.dtype is dtype, f"{name} is {tensor.dtype}, expected {dtype}")
    found = len(tensor.shape)
    _expect(rank is None or found == rank, f"{name} has rank {found}, expected {rank}")
    return tensor


def _constant(
    program: Program, name: str, dtype: DType, shape: tuple[int | None, ...]
) -> NDArray[Any]:
    _expect(name in program.constants, f"constant {name} is missing")
    array = program.constants[name]
    found = f"{array.dtype.name} {list(array.shape)}"
    wanted = f"{dtype} {['any' if n is None else n for n in shape]}"
    _expect(
        array.dtype == dtype.numpy and _shapes_agree(array.shape, shape),
        f"constant {name} is {found}, expected {wanted}",
    )
    _expect(array.size > 0, f"constant {name} is empty")
    return array


def _check_clamp(qmin: int, qmax: int) -> None:
    _expect(0 <= qmin <= qmax <= 255, f"clamp is [{qmin}, {qmax}], expected 0 <= qmin <= qmax")


def _check_pairs(**pairs: tuple[int, int]) -> None:
    for name, pair in pairs.items():
        _expect(
            all(1 <= n <= LARGEST_WINDOW for n in pair),
            f"{name} is {pair}, expected values from 1 to {LARGEST_WINDOW}",
        )


def _check_padding(
    padding: Padding, kernel: tuple[int, int], dilation: tuple[int, int], *, half: bool
) -> None:
    """Bounds the padding; for pooling to half a window, so that each window has a value inside."""
    for axis, amount in enumerate(padding):
        span = dilation[axis % 2] * (kernel[axis % 2] - 1) + 1
        most = span // 2 if half else LARGEST_WINDOW
        _expect(0 <= amount <= most, f"padding is {padding}, expected values from 0 to {most}")


def _check_requantization(program: Program, step: Conv2d | Linear, weight: NDArray[Any]) -> None:
    channels = weight.shape[0]
    scales = _constant(program, step.weight_scale, DType.FLOAT32, (channels,))
    bias = _constant(program, step.bias, DType.INT32, (channels,))
    _expect(
        bool(((scales >= SMALLEST_SCALE) & (scales <= LARGEST_SCALE)).all()),
        f"{step.weight_scale} has a value outside [2**-60, 2**60]",
    )
    source, target = program.tensor(step.input), program.tensor(step.output)
    assert source.scale is not None
    assert target.scale is not None
    multipliers = requantize_multipliers(source.scale, scales, target.scale)
    smallest = np.finfo(np.float32).tiny
    _expect(
        bool((np.isfinite(multipliers) & (multipliers >= smallest)).all()),
        "a requantization multiplier is not a normal float32",
    )
    _expect(bool((weight >= -WEIGHT_QMAX).all()), f"{step.weight} has a value below -{WEIGHT_QMAX}")
    # The folded bias takes part in every partial sum, so its size and that of all products must
    # stay within int32 together, whatever the order of summation.
    # One channel at a time: all of them as int64 take eight times the memory of the weights.
    rows = weight.reshape(channels, -1)
    sums = rows.sum(axis=1, dtype=np.int64)
    sizes = np.array([np.abs(row.astype(np.int64)).sum() for row in rows])
    folded = bias.astype(np.int64) - source.zero_point * sums
    largest = int((np.abs(folded) + 255 * sizes).max())
    _expect(largest < ACCUMULATOR_LIMIT, f"accumulators reach {largest}, expected less than 2**31")


def _quantize(program: Program, step: Quantize) -> Shape:
    _typed(program, step.output, DType.UINT8)
    return _typed(program, step.input, DType.FLOAT32).shape


def _dequantize(program: Program, step: Dequantize) -> Shape:
    _typed(program, step.output, DType.FLOAT32)
    return _typed(program, step.input, DType.UINT8).shape


def _conv2d(program: Program, step: Conv2d) -> Shape:
    source = _typed(program, step.input, DType.UINT8, rank=4)
    _typed(program, step.output, DType.UINT8, rank=4)
    _expect(step.groups >= 1, f"groups is {step.groups}, expected at least 1")
    channels = source.shape[1]
    _expect(channels is not None, f"the channels of {step.input} are not fixed")
    assert channels is not None
    _expect(channels % step.groups == 0, f"{channels} channels for {step.groups} groups")
    per_group = channels // step.groups
    weight = _constant(program, step.weight, DType.INT8, (None, per_group, None, None))
    _expect(weight.shape[0] % step.groups == 0, f"{weight.shape[0]} outputs, {step.groups} groups")
    kernel = (weight.shape[2], weight.shape[3])
    _check_pairs(kernel=kernel, stride=step.stride, dilation=step.dilation)
    _check_padding(step.padding, kernel, step.dilation, half=False)
    _check_clamp(step.qmin, step.qmax)
    _check_requantization(program, step, weight)
    return windowed_shape(
        source.shape,
        weight.shape[0],
        kernel=kernel,
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
    )


def _linear(program: Program, step: Linear) -> Shape:
    source = _typed(program, step.input, DType.UINT8, rank=2)
    _typed(program, step.output, DType.UINT8, rank=2)
    features = source.shape[1]
    _expect(features is not None, f"the features of {step.input} are not fixed")
    weight = _constant(program, step.weight, DType.INT8, (None, features))
    _check_clamp(step.qmin, step.qmax)
    _check_requantization(program, step, weight)
    return (source.shape[0], weight.shape[0])


def _add(program: Program, step: Add) -> Shape:
    lhs = _typed(program, step.lhs, DType.UINT8)
    rhs = _typed(program, step.rhs, DType.UINT8)
    _typed(program, step.output, DType.UINT8)
    _expect(_shapes_agree(lhs.shape, rhs.shape), f"adds {list(lhs.shape)} and {list(rhs.shape)}")
    _check_clamp(step.qmin, step.qmax)
    return tuple(b if a is None else a for a, b in zip(lhs.shape, rhs.shape, strict=True))


def _average_pool(program: Program, step: AveragePool2d) -> Shape:
    source = _typed(program, step.input, DType.UINT8, rank=4)
    _typed(program, step.output, DType.UINT8, rank=4)
    _check_pairs(kernel=step.kernel, stride=step.stride)
    _check_padding(step.padding, step.kernel, (1, 1), half=True)
    _check_clamp(step.qmin, step.qmax)
    _check_sum(source, *step.kernel)
    return windowed_shape(
        source.shape,
        source.shape[1],
        kernel=step.kernel,
        stride=step.stride,
        padding=step.padding,
        dilation=(1, 1),
    )


def _global_average_pool(program: Program, step: GlobalAveragePool) -> Shape:
    source = _typed(program, step.input, DType.UINT8, rank=4)
    _typed(program, step.output, DType.UINT8, rank=4)
    _check_clamp(step.qmin, step.qmax)
    _check_sum(source, *source.shape[2:])
    return (source.shape[0], source.shape[1], 1, 1)


def _check_sum(source: TensorInfo, height: int | None, width: int | None) -> None:
    """Bounds the sum over a window; the engine bounds it where extents are not known before."""
    if height is None or width is None:
        return
    largest = height * width * max(source.zero_point, 255 - source.zero_point)
    _expect(
        largest < ACCUMULATOR_LIMIT,
        f"the sum of {height} x {width} values can reach {largest}, expected less than 2**31",
    )


def _max_pool(program: Program, step: MaxPool2d) -> Shape:
    source = _typed(program, step.input, DType.UINT8, rank=4)
    _check_same_qparams(source, _typed(program, step.output, DType.UINT8, rank=4))
    _check_pairs(kernel=step.kernel, stride=step.stride, dilation=step.dilation)
    _check_padding(step.padding, step.kernel, step.dilation, half=True)
    for axis in (0, 1):
        _check_inside(source.shape[axis + 2], step, axis)
    return windowed_shape(
        source.shape,
        source.shape[1],
        kernel=step.kernel,
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
    )


def _check_inside(extent: int | None, step: MaxPool2d, axis: int) -> None:
    """Checks that no window steps over the whole image, which dilation can do in the padding."""
    dilation, before, behind = step.dilation[axis], step.padding[axis], step.padding[axis + 2]
    if extent is None or extent >= dilation:
        return
    last = extent + behind - dilation * (step.kernel[axis] - 1) - 1
    # Padding is at most half a window, so the first tap that is not before the image exists.
    _expect(
        all(
            start % dilation < extent
            for start in range(-before, min(last + 1, 0), step.stride[axis])
        ),
        f"a window with dilation {dilation} and padding {before} has no value of {extent} inside",
    )


def _concat(program: Program, step: Concat) -> Shape:
    _expect(len(step.inputs) >= 1, "joins nothing")
    output = _typed(program, step.output, DType.UINT8)
    parts = [_typed(program, name, DType.UINT8, rank=len(output.shape)) for name in step.inputs]
    first = parts[0].shape
    for part in parts:
        _check_same_qparams(part, output)
        same = _shapes_agree((part.shape[0], *part.shape[2:]), (first[0], *first[2:]))
        _expect(same, f"joins {list(first)} and {list(part.shape)}")
    channels = [part.shape[1] for part in parts]
    joined = None if None in channels else sum(n for n in channels if n is not None)
    return (first[0], joined, *first[2:])


def _lookup(program: Program, step: Lookup) -> Shape:
    _constant(program, step.table, DType.UINT8, (256,))
    _typed(program, step.output, DType.UINT8)
    return _typed(program, step.input, DType.UINT8).shape


def _reshape(program: Program, step: Reshape) -> Shape:
    source = program.tensor(step.input)
    _check_same_qparams(source, _typed(program, step.output, source.dtype))
    _expect(
        step.shape.count(-1) <= 1 and all(n >= -1 for n in step.shape),
        f"shape is {step.shape}, expected extents, 0, or -1 at most once",
    )
    _expect(math.prod(n for n in step.shape if n > 0) < ACCUMULATOR_LIMIT, "shape is too large")
    return reshaped_shape(source.shape, step.shape)


def _check_same_qparams(source: TensorInfo, target: TensorInfo) -> None:
    _expect(
        (source.scale, source.zero_point) == (target.scale, target.zero_point),
        f"{source.name} and {target.name} differ in scale or zero point, expected equal ones",
    )


_RULES: dict[type[Step], Callable[[Program, Any], Shape]] = {
    Quantize: _quantize,
    Dequantize: _dequantize,
    Conv2d: _conv2d,
    Linear: _linear,
    Add: _add,
    AveragePool2d: _average_pool,
    GlobalAveragePool: _global_average_pool,
    MaxPool2d: _max_pool,
    Concat: _concat,
    Lookup: _lookup,
    Reshape: _reshape,
}
