"""Rules of the steps on uint8 tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.functional import product_multiplier, requantize_multipliers
from smidgen.program.rules.expectations import (
    ACCUMULATOR_LIMIT,
    check_clamp,
    check_same_qparams,
    check_weight_scale,
    expect,
    expect_constant,
    expect_tensor,
    shapes_agree,
)
from smidgen.program.shapes import Shape, windowed_shape
from smidgen.program.steps import (
    Add,
    AveragePool2d,
    Conv2d,
    ConvTranspose2d,
    Dequantize,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Padding,
    Quantize,
)
from smidgen.program.types import DType, Program, TensorInfo
from smidgen.qparams import WEIGHT_QMAX

LARGEST_WINDOW = 2**12


def check_pairs(**pairs: tuple[int, int]) -> None:
    """Bounds what windows are made of: kernel, stride and dilation."""
    for name, pair in pairs.items():
        expect(
            all(1 <= n <= LARGEST_WINDOW for n in pair),
            f"{name} is {pair}, expected values from 1 to {LARGEST_WINDOW}",
        )


def check_padding(
    padding: Padding, kernel: tuple[int, int], dilation: tuple[int, int], *, half: bool
) -> None:
    """Bounds the padding; for pooling to half a window, so that each window has a value inside."""
    for axis, amount in enumerate(padding):
        span = dilation[axis % 2] * (kernel[axis % 2] - 1) + 1
        most = span // 2 if half else LARGEST_WINDOW
        expect(0 <= amount <= most, f"padding is {padding}, expected values from 0 to {most}")


def check_requantization(
    program: Program, step: Conv2d | ConvTranspose2d | Linear, weight: NDArray[Any]
) -> None:
    """Checks the constants of a layer with weights [O, ...], and that no sum can overflow."""
    channels = weight.shape[0]
    scales = expect_constant(program, step.weight_scale, DType.FLOAT32, (channels,))
    bias = expect_constant(program, step.bias, DType.INT32, (channels,))
    check_weight_scale(scales, step.weight_scale)
    source, target = program.tensor(step.input), program.tensor(step.output)
    assert source.scale is not None
    # A float output takes the accumulators' own scale, a product of two normal ones.
    multipliers = requantize_multipliers(source.scale, scales, target.scale or 1.0)
    _check_multipliers(multipliers)
    expect(bool((weight >= -WEIGHT_QMAX).all()), f"{step.weight} has a value below -{WEIGHT_QMAX}")
    # The folded bias takes part in every partial sum, so its size and that of all products must
    # stay within int32 together, whatever the order of summation.
    rows = weight.reshape(channels, -1)
    sums = rows.sum(axis=1, dtype=np.int64)
    sizes = np.abs(rows).sum(axis=1, dtype=np.int64)  # no -128, so int8 holds the magnitudes
    folded = bias.astype(np.int64) - source.zero_point * sums
    largest = int((np.abs(folded) + 255 * sizes).max())
    expect(largest < ACCUMULATOR_LIMIT, f"accumulators reach {largest}, expected less than 2**31")


def _check_multipliers(multipliers: NDArray[np.float32] | np.float32) -> None:
    smallest = np.finfo(np.float32).tiny
    expect(
        bool((np.isfinite(multipliers) & (multipliers >= smallest)).all()),
        "a requantization multiplier is not a normal float32: the scales of input, weights and "
        "output are too far apart; keep the layer in float, or rescale the model so that its "
        "values are nearer to 1",
    )


def _quantize(program: Program, step: Quantize) -> Shape:
    expect_tensor(program, step.output, DType.UINT8)
    return expect_tensor(program, step.input, DType.FLOAT32).shape


def _dequantize(program: Program, step: Dequantize) -> Shape:
    expect_tensor(program, step.output, DType.FLOAT32)
    return expect_tensor(program, step.input, DType.UINT8).shape


def _conv2d(program: Program, step: Conv2d) -> Shape:
    source = expect_tensor(program, step.input, DType.UINT8, rank=4)
    expect_tensor(program, step.output, DType.UINT8, rank=4)
    expect(step.groups >= 1, f"groups is {step.groups}, expected at least 1")
    channels = source.shape[1]
    expect(channels is not None, f"the channels of {step.input} are not fixed")
    assert channels is not None
    expect(channels % step.groups == 0, f"{channels} channels for {step.groups} groups")
    per_group = channels // step.groups
    weight = expect_constant(program, step.weight, DType.INT8, (None, per_group, None, None))
    expect(weight.shape[0] % step.groups == 0, f"{weight.shape[0]} outputs, {step.groups} groups")
    kernel = (weight.shape[2], weight.shape[3])
    check_pairs(kernel=kernel, stride=step.stride, dilation=step.dilation)
    check_padding(step.padding, kernel, step.dilation, half=False)
    check_clamp(step.qmin, step.qmax)
    check_requantization(program, step, weight)
    return windowed_shape(
        source.shape,
        weight.shape[0],
        kernel=kernel,
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
    )


def _linear(program: Program, step: Linear) -> Shape:
    source = expect_tensor(program, step.input, DType.UINT8)
    rank = len(source.shape)
    expect(rank >= 2 and rank != 4, f"{step.input} has rank {rank}, expected 2, 3 or 5 to 8")
    is_float = program.tensor(step.output).dtype is DType.FLOAT32
    expect_tensor(program, step.output, DType.FLOAT32 if is_float else DType.UINT8, rank)
    features = source.shape[-1]
    expect(features is not None, f"the features of {step.input} are not fixed")
    weight = expect_constant(program, step.weight, DType.INT8, (None, features))
    check_clamp(step.qmin, step.qmax)
    check_requantization(program, step, weight)
    return (*source.shape[:-1], weight.shape[0])


def _add(program: Program, step: Add) -> Shape:
    lhs = expect_tensor(program, step.lhs, DType.UINT8)
    rhs = expect_tensor(program, step.rhs, DType.UINT8)
    expect_tensor(program, step.output, DType.UINT8)
    expect(shapes_agree(lhs.shape, rhs.shape), f"adds {list(lhs.shape)} and {list(rhs.shape)}")
    check_clamp(step.qmin, step.qmax)
    return tuple(b if a is None else a for a, b in zip(lhs.shape, rhs.shape, strict=True))


def _multiply(program: Program, step: Multiply) -> Shape:
    operands = [expect_tensor(program, name, DType.UINT8) for name in (step.lhs, step.rhs)]
    output = expect_tensor(program, step.output, DType.UINT8)
    check_clamp(step.qmin, step.qmax)
    scales = [tensor.scale for tensor in (*operands, output)]
    assert scales[0] is not None
    assert scales[1] is not None
    assert scales[2] is not None
    _check_multipliers(product_multiplier(scales[0], scales[1], scales[2]))
    shapes = [tensor.shape for tensor in operands]
    # The one that scales channels, if there is one, comes last.
    image, factor = sorted(shapes, key=lambda shape: len(shape) == 4 and shape[2:] == (1, 1))
    scales_channels = len(factor) == 4 and factor[2:] == (1, 1)
    shared = 2 if scales_channels else len(factor)
    expect(
        len(image) == len(factor) and shapes_agree(image[:shared], factor[:shared]),
        f"multiplies {list(shapes[0])} and {list(shapes[1])}",
    )
    agreed = (b if a is None else a for a, b in zip(image[:shared], factor[:shared], strict=True))
    return (*agreed, *image[shared:])


def _average_pool(program: Program, step: AveragePool2d) -> Shape:
    source = expect_tensor(program, step.input, DType.UINT8, rank=4)
    expect_tensor(program, step.output, DType.UINT8, rank=4)
    check_pairs(kernel=step.kernel, stride=step.stride)
    check_padding(step.padding, step.kernel, (1, 1), half=True)
    check_clamp(step.qmin, step.qmax)
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
    source = expect_tensor(program, step.input, DType.UINT8, rank=4)
    expect_tensor(program, step.output, DType.UINT8, rank=4)
    check_clamp(step.qmin, step.qmax)
    _check_sum(source, *source.shape[2:])
    return (source.shape[0], source.shape[1], 1, 1)


def _check_sum(source: TensorInfo, height: int | None, width: int | None) -> None:
    """Bounds the sum over a window; the engine bounds it where extents are not known before."""
    if height is None or width is None:
        return
    largest = height * width * max(source.zero_point, 255 - source.zero_point)
    expect(
        largest < ACCUMULATOR_LIMIT,
        f"the sum of {height} x {width} values can reach {largest}, expected less than 2**31",
    )


def _max_pool(program: Program, step: MaxPool2d) -> Shape:
    source = expect_tensor(program, step.input, DType.UINT8, rank=4)
    check_same_qparams(source, expect_tensor(program, step.output, DType.UINT8, rank=4))
    check_pairs(kernel=step.kernel, stride=step.stride, dilation=step.dilation)
    check_padding(step.padding, step.kernel, step.dilation, half=True)
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
    expect(
        all(
            start % dilation < extent
            for start in range(-before, min(last + 1, 0), step.stride[axis])
        ),
        f"a window with dilation {dilation} and padding {before} has no value of {extent} inside",
    )


def _lookup(program: Program, step: Lookup) -> Shape:
    expect_constant(program, step.table, DType.UINT8, (256,))
    expect_tensor(program, step.output, DType.UINT8)
    return expect_tensor(program, step.input, DType.UINT8).shape


RULES: Mapping[type[Any], Callable[[Program, Any], Shape]] = {
    Quantize: _quantize,
    Dequantize: _dequantize,
    Conv2d: _conv2d,
    Linear: _linear,
    Add: _add,
    Multiply: _multiply,
    AveragePool2d: _average_pool,
    GlobalAveragePool: _global_average_pool,
    MaxPool2d: _max_pool,
    Lookup: _lookup,
}
