"""The reference interpreter: runs a program step by step with smidgen.functional."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from smidgen import functional
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
    Quantize,
    Reshape,
    Step,
)
from smidgen.program.types import Program

Values = dict[str, NDArray[Any]]


def interpret(
    program: Program, inputs: Mapping[str, NDArray[np.generic]]
) -> dict[str, NDArray[np.generic]]:
    """Runs a verified program and returns every tensor by name, intermediate ones included.

    Args:
        program: A program that `verify` accepts.
        inputs: One array for each name in program.inputs, of the declared type and shape.
    """
    values: Values = dict(inputs)
    for step in program.steps:
        values[step.output] = _RULES[type(step)](program, step, values)
    return cast("dict[str, NDArray[np.generic]]", values)


def _scale(program: Program, tensor: str) -> float:
    scale = program.tensor(tensor).scale
    assert scale is not None, "verify lets no step read the scale of a float tensor"
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


def _requantize(program: Program, step: Conv2d | Linear, acc: functional.I32) -> NDArray[Any]:
    multipliers = functional.requantize_multipliers(
        _scale(program, step.input),
        cast("functional.F32", program.constants[step.weight_scale]),
        _scale(program, step.output),
    )
    zero_point = _zero_point(program, step.output)
    return functional.requantize(acc, multipliers, zero_point, step.qmin, step.qmax)


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
    return _requantize(program, step, acc)


def _linear(program: Program, step: Linear, values: Values) -> NDArray[Any]:
    acc = functional.multiply_accumulate(
        values[step.input],
        _zero_point(program, step.input),
        cast("functional.I8", program.constants[step.weight]),
        cast("functional.I32", program.constants[step.bias]),
    )
    return _requantize(program, step, acc)


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


def _concat(_: Program, step: Concat, values: Values) -> NDArray[Any]:
    return functional.concatenate([values[name] for name in step.inputs], axis=1)


def _lookup(program: Program, step: Lookup, values: Values) -> NDArray[Any]:
    return functional.lookup(
        values[step.input], cast("functional.U8", program.constants[step.table])
    )


def _reshape(_: Program, step: Reshape, values: Values) -> NDArray[Any]:
    x = values[step.input]
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(step.shape)])


_RULES: dict[type[Step], Callable[[Program, Any, Values], NDArray[Any]]] = {
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
