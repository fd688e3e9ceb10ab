"""How steps on uint8 tensors run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from smidgen import functional
from smidgen.program.interpreter.rule import Rule, Values
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
    Quantize,
)
from smidgen.program.types import DType, Program


def _scale(program: Program, tensor: str) -> float:
    scale = program.tensor(tensor).scale
    assert scale is not None, "verify lets no such step read the scale of a float tensor"
    return scale


def _zero_point(program: Program, tensor: str) -> int:
    return program.tensor(tensor).zero_point


def _ratio(program: Program, tensor: str, output: str) -> np.float32:
    return np.float32(np.float32(_scale(program, tensor)) / np.float32(_scale(program, output)))


def _quantize(program: Program, step: Quantize, values: Values) -> NDArray[Any]:
    out = step.output
    return functional.quantize(values[step.input], _scale(program, out), _zero_point(program, out))


def _dequantize(program: Program, step: Dequantize, values: Values) -> NDArray[Any]:
    source = step.input
    return functional.dequantize(
        values[source], _scale(program, source), _zero_point(program, source)
    )


def scaled(
    program: Program, step: Conv2d | ConvTranspose2d | Linear, acc: functional.I32
) -> NDArray[Any]:
    """Finishes a layer; acc has its channels along axis 1."""
    output = program.tensor(step.output)
    source_scale = _scale(program, step.input)
    weight_scales = cast("functional.F32", program.constants[step.weight_scale])
    if output.dtype is DType.FLOAT32:
        return functional.dequantize_accumulators(acc, source_scale, weight_scales)
    multipliers = functional.requantize_multipliers(
        source_scale, weight_scales, _scale(program, step.output)
    )
    return functional.requantize(acc, multipliers, output.zero_point, step.qmin, step.qmax)


def _conv2d(program: Program, step: Conv2d, values: Values) -> NDArray[Any]:
    acc = functional.convolve(
        values[step.input],
        _zero_point(program, step.input),
        cast("functional.I8", program.constants[step.weight]),
        cast("functional.I32", program.constants[step.bias]),
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
        groups=step.groups,
    )
    return scaled(program, step, acc)


def _linear(program: Program, step: Linear, values: Values) -> NDArray[Any]:
    x = values[step.input]
    acc = functional.multiply_accumulate(
        x.reshape(-1, x.shape[-1]),
        _zero_point(program, step.input),
        cast("functional.I8", program.constants[step.weight]),
        cast("functional.I32", program.constants[step.bias]),
    )
    return scaled(program, step, acc).reshape(*x.shape[:-1], -1)


def _add(program: Program, step: Add, values: Values) -> NDArray[Any]:
    return functional.add(
        values[step.lhs],
        values[step.rhs],
        lhs_zero_point=_zero_point(program, step.lhs),
        lhs_multiplier=_ratio(program, step.lhs, step.output),
        rhs_zero_point=_zero_point(program, step.rhs),
        rhs_multiplier=_ratio(program, step.rhs, step.output),
        zero_point=_zero_point(program, step.output),
        qmin=step.qmin,
        qmax=step.qmax,
    )


def _multiply(program: Program, step: Multiply, values: Values) -> NDArray[Any]:
    return functional.multiply(
        values[step.lhs],
        values[step.rhs],
        lhs_zero_point=_zero_point(program, step.lhs),
        rhs_zero_point=_zero_point(program, step.rhs),
        multiplier=functional.product_multiplier(
            _scale(program, step.lhs), _scale(program, step.rhs), _scale(program, step.output)
        ),
        zero_point=_zero_point(program, step.output),
        qmin=step.qmin,
        qmax=step.qmax,
    )


def _average_pool(program: Program, step: AveragePool2d, values: Values) -> NDArray[Any]:
    return functional.average_pool(
        values[step.input],
        x_zero_point=_zero_point(program, step.input),
        multiplier=_ratio(program, step.input, step.output),
        kernel=step.kernel,
        stride=step.stride,
        padding=step.padding,
        count_include_pad=step.count_include_pad,
        zero_point=_zero_point(program, step.output),
        qmin=step.qmin,
        qmax=step.qmax,
    )


def _global_average_pool(program: Program, step: GlobalAveragePool, values: Values) -> NDArray[Any]:
    x = values[step.input]
    return functional.average_pool(
        x,
        x_zero_point=_zero_point(program, step.input),
        multiplier=_ratio(program, step.input, step.output),
        kernel=(x.shape[2], x.shape[3]),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        count_include_pad=True,
        zero_point=_zero_point(program, step.output),
        qmin=step.qmin,
        qmax=step.qmax,
    )


def _max_pool(_: Program, step: MaxPool2d, values: Values) -> NDArray[Any]:
    return functional.max_pool(
        values[step.input],
        kernel=step.kernel,
        stride=step.stride,
        padding=step.padding,
        dilation=step.dilation,
    )


def _lookup(program: Program, step: Lookup, values: Values) -> NDArray[Any]:
    return functional.lookup(
        values[step.input], cast("functional.U8", program.constants[step.table])
    )


RULES: Mapping[type[Any], Rule] = {
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
