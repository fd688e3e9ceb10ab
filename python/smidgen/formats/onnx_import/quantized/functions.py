"""Values that are functions of one quantized value, as 256 numbers each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen import unary_functions as functions
from smidgen.functional import dequantize, quantize
from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import OpKind
from smidgen.qparams import QParams

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function of the bytes of a value.

    Attributes:
        source: Number of the value.
        results: The function of each of the 256 bytes.
    """

    source: int
    results: Numbers

    def table(self, target: QParams) -> NDArray[np.uint8]:
        """Returns the results as bytes, rounded as tables are."""
        return quantize(self.results.astype(np.float32), target.scale, target.zero_point)


def identity_of(source: int, qparams: QParams) -> Function:
    """Returns the real values of the bytes of a value."""
    every = np.arange(256, dtype=np.uint8)
    reals = dequantize(every, qparams.scale, qparams.zero_point)
    return Function(source, reals.astype(np.float64))


def function_of(
    node: ExportedNode,
    known: Mapping[int, Function],
    numbers: Mapping[int, float],
) -> Function | None:
    """Returns a node's value as a function of one quantized value; None where it is none.

    Args:
        node: The node.
        known: The functions that values before it are.
        numbers: The values before it that are one number.
    """
    read = [known.get(value) for value in node.inputs]
    sources = {function.source for function in read if function is not None}
    is_known = all(
        function is not None or value in numbers
        for function, value in zip(read, node.inputs, strict=True)
    )
    if len(sources) != 1 or not is_known:
        return None
    operands = [
        np.full(256, numbers[value]) if function is None else function.results
        for function, value in zip(read, node.inputs, strict=True)
    ]
    results = _results(node.operation, operands)
    return None if results is None else Function(sources.pop(), results)


def _results(operation: ops.Operation, operands: list[Numbers]) -> Numbers | None:
    if len(operands) == 2:
        return _of_two(operation.kind, *operands)
    scalar = scalar_function(operation)
    if scalar is None or len(operands) != 1:
        return None
    return np.array([_finite_or(scalar, float(x)) for x in operands[0]], np.float64)


def _finite_or(scalar: Callable[[float], float], x: float) -> float:
    """Applies a function of finite numbers; infinities and what overflows give NaN."""
    try:
        return scalar(x)
    except (ValueError, OverflowError):
        return math.nan


_OF_TWO: Mapping[OpKind, Callable[[Numbers, Numbers], Numbers]] = {
    OpKind.ADD: np.add, OpKind.SUB: np.subtract, OpKind.MULTIPLY: np.multiply,
    OpKind.DIV: np.divide, OpKind.MINIMUM: np.minimum, OpKind.MAXIMUM: np.maximum,
}  # fmt: skip


def _of_two(kind: OpKind, lhs: Numbers, rhs: Numbers) -> Numbers | None:
    if kind not in _OF_TWO:
        return None
    with np.errstate(all="ignore"):
        return _OF_TWO[kind](lhs, rhs)


def scalar_function(  # noqa: PLR0911 - one for each
    operation: ops.Operation,
) -> Callable[[float], float] | None:
    """Returns what an operation does to each number, in double precision; None for others."""
    match operation:
        case ops.Clamp():
            low, high = clamp_bounds(operation)
            return lambda x: functions.clamp(x, low, high)
        case ops.Gelu(approximate):
            return functions.gelu_tanh if approximate == "tanh" else functions.gelu
        case ops.LeakyRelu(slope):
            return lambda x: functions.leaky_relu(x, slope)
        case ops.Elu(alpha):
            return lambda x: functions.elu(x, alpha)
        case ops.Pow(exponent):
            return lambda x: functions.power(x, exponent)
        case ops.Unary(kind):
            return functions.WITHOUT_PARAMETERS.get(kind)
        case _:
            return None


def clamp_bounds(operation: ops.Operation) -> tuple[float, float]:
    """Returns the bounds of an operation that only bounds; infinite ones for all others."""
    match operation:
        case ops.Clamp(minimum, maximum):
            low = -math.inf if minimum is None else float(minimum)
            return low, math.inf if maximum is None else float(maximum)
        case ops.Unary(OpKind.RELU):
            return 0.0, math.inf
        case ops.Unary(OpKind.RELU6):
            return 0.0, 6.0
        case _:
            return -math.inf, math.inf
