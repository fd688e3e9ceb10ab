"""Functions of one value and of two, comparisons and changes of type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.functional import elementary
from smidgen.functional.elementary import maximum, minimum
from smidgen.functional.types import F32, Bool

_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_ROOT_HALF = np.float32(float.fromhex("0x1.6a09e6p-1"))
_ROOT_TWO_OVER_PI = np.float32(float.fromhex("0x1.988454p-1"))
_GELU_CUBE = np.float32(float.fromhex("0x1.6e4e26p-5"))  # 0.044715


def _reciprocal(x: F32) -> F32:
    return _ONE / x


def _rsqrt(x: F32) -> F32:
    root: F32 = np.sqrt(x)
    return _ONE / root


def _sigmoid(x: F32) -> F32:
    return _ONE / (_ONE + elementary.exp(-x))


def _silu(x: F32) -> F32:
    return x / (_ONE + elementary.exp(-x))


def _gelu(x: F32) -> F32:
    return (_HALF * x) * (_ONE + elementary.erf(x * _ROOT_HALF))


def _gelu_tanh(x: F32) -> F32:
    inner = _ROOT_TWO_OVER_PI * (x + _GELU_CUBE * (x * x * x))
    return (_HALF * x) * (_ONE + elementary.tanh(inner))


def _relu(x: F32) -> F32:
    return maximum(_ZERO, x)


def _hardsigmoid(x: F32) -> F32:
    return minimum(np.float32(6), maximum(_ZERO, x + np.float32(3))) / np.float32(6)


def _hardswish(x: F32) -> F32:
    gate = minimum(np.float32(6), maximum(_ZERO, x + np.float32(3)))
    return (x * gate) / np.float32(6)


def _softplus(x: F32) -> F32:
    return maximum(_ZERO, x) + elementary.log1p_of_unit(elementary.exp(-np.abs(x)))


def _mish(x: F32) -> F32:
    return x * elementary.tanh(_softplus(x))


def _leaky_relu(x: F32, slope: np.float32) -> F32:
    return np.where(x > 0, x, slope * x)


def _elu(x: F32, alpha: np.float32) -> F32:
    return np.where(x > 0, x, alpha * elementary.expm1(minimum(_ZERO, x)))


def _clamp(x: F32, low: np.float32, high: np.float32) -> F32:
    return minimum(high, maximum(low, x))


def _pow(x: F32, exponent: np.float32) -> F32:
    exact: dict[float, Callable[[F32], F32]] = {
        -1.0: _reciprocal,
        -0.5: _rsqrt,
        0.5: np.sqrt,
        2.0: np.square,
        3.0: lambda base: base * base * base,
    }
    if float(exponent) in exact:
        return exact[float(exponent)](x)
    return elementary.power(x, np.full_like(x, exponent))


_UNARY: Mapping[str, Callable[..., F32]] = {
    "abs": np.abs,
    "clamp": _clamp,
    "cos": elementary.cos,
    "elu": _elu,
    "erf": elementary.erf,
    "exp": elementary.exp,
    "floor": np.floor,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "leaky_relu": _leaky_relu,
    "log": elementary.log,
    "mish": _mish,
    "neg": np.negative,
    "pow": _pow,
    "reciprocal": _reciprocal,
    "relu": _relu,
    "round": np.rint,
    "rsqrt": _rsqrt,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "sin": elementary.sin,
    "softplus": _softplus,
    "sqrt": np.sqrt,
    "tanh": elementary.tanh,
}


def unary(x: NDArray[Any], function: str, parameters: tuple[float, ...] = ()) -> NDArray[Any]:
    """Applies a function of smidgen.program.UNARY_PARAMETERS to each value."""
    if function == "not":
        return ~x
    with np.errstate(all="ignore"):
        return _UNARY[function](x, *(np.float32(value) for value in parameters))


def _propagating(pick: Callable[[F32, F32], F32]) -> Callable[[F32, F32], F32]:
    """Makes maximum or minimum give NaN whenever either value is NaN."""
    return lambda lhs, rhs: np.where(np.isnan(lhs), lhs, pick(lhs, rhs))


def _power(lhs: F32, rhs: F32) -> F32:
    return elementary.power(*np.broadcast_arrays(lhs, rhs))


_BINARY: Mapping[str, Callable[[Any, Any], NDArray[Any]]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "minimum": _propagating(minimum),
    "maximum": _propagating(maximum),
    "pow": _power,
    "and": np.logical_and,
    "or": np.logical_or,
}


def binary(lhs: NDArray[Any], rhs: NDArray[Any], function: str) -> NDArray[Any]:
    """Applies a function of smidgen.program.BINARY_TYPES, with broadcasting; int64 wraps around."""
    with np.errstate(all="ignore"):
        return _BINARY[function](lhs, rhs)


_COMPARISONS: Mapping[str, Callable[[Any, Any], Bool]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def compare(lhs: NDArray[Any], rhs: NDArray[Any], function: str) -> Bool:
    """Compares with broadcasting; a NaN differs from everything and is neither less nor greater."""
    with np.errstate(invalid="ignore"):
        return _COMPARISONS[function](lhs, rhs)


def where(condition: Bool, lhs: NDArray[Any], rhs: NDArray[Any]) -> NDArray[Any]:
    """Lhs where the condition holds, else rhs, with broadcasting."""
    return np.where(condition, lhs, rhs)


def cast(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Changes the type among float32, int64 and bool.

    float32 to int64 drops the fraction, saturates, and takes NaN as 0; to bool everything but 0 is
    true, NaN too; int64 to float32 rounds half to even.
    """
    if x.dtype == np.float32 and dtype == np.int64:
        is_inside = np.abs(x) < np.float32(2.0**63)  # false for NaN
        limits = np.iinfo(np.int64)
        saturated = np.where(x > 0, limits.max, np.where(x < 0, limits.min, 0))
        return np.where(is_inside, np.where(is_inside, x, 0).astype(np.int64), saturated)
    return x.astype(dtype)
