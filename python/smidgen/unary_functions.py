"""The functions of one number that models use, in double precision. Needs no torch.

Python's math and not numpy, whose vector code differs in the last bit from one CPU to another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def hardsigmoid(x: float) -> float:
    """A sigmoid of three straight lines."""
    return clamp(x + 3.0, 0.0, 6.0) / 6.0


def hardswish(x: float) -> float:
    """X times its hardsigmoid."""
    return x * clamp(x + 3.0, 0.0, 6.0) / 6.0


def silu(x: float) -> float:
    """X times its sigmoid."""
    return x * sigmoid(x)


def gelu(x: float) -> float:
    """X times the normal distribution function of x."""
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


def gelu_tanh(x: float) -> float:
    """The approximation of gelu by a tanh."""
    inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + math.tanh(inner))


def leaky_relu(x: float, slope: float) -> float:
    """X where it is positive, slope * x elsewhere."""
    return x if x > 0.0 else slope * x


def elu(x: float, alpha: float) -> float:
    """X where it is positive, alpha * (exp(x) - 1) elsewhere."""
    return x if x > 0.0 else alpha * math.expm1(x)


def clamp(x: float, low: float, high: float) -> float:
    """X within [low, high]."""
    return min(max(x, low), high)


def tanh(x: float) -> float:
    """The hyperbolic tangent."""
    return math.tanh(x)


def exp(x: float) -> float:
    """The exponential function; infinity where it leaves the floats."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def log(x: float) -> float:
    """The natural logarithm; -infinity for 0 and NaN below."""
    if x > 0.0:
        return math.log(x)
    return -math.inf if x == 0.0 else math.nan


def sqrt(x: float) -> float:
    """The square root; NaN below 0."""
    return math.sqrt(x) if x >= 0.0 else math.nan


def reciprocal(x: float) -> float:
    """1 / x; infinity for 0."""
    return 1.0 / x if x != 0.0 else math.inf


def rsqrt(x: float) -> float:
    """1 / sqrt(x); infinity for 0 and NaN below."""
    return reciprocal(sqrt(x))


def power(x: float, exponent: float) -> float:
    """X to the power of a constant; NaN where it is not a real number."""
    try:
        return math.pow(x, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan if x < 0.0 else math.inf


def softplus(x: float) -> float:
    """log(1 + exp(x)), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def mish(x: float) -> float:
    """X times the hyperbolic tangent of its softplus."""
    return x * math.tanh(softplus(x))


def floor(x: float) -> float:
    """The greatest whole number up to x."""
    return float(math.floor(x))


def round_half_even(x: float) -> float:
    """The nearest whole number, the even one of two."""
    return float(round(x))


def relu(x: float) -> float:
    """X, at least 0."""
    return max(x, 0.0)


def relu6(x: float) -> float:
    """X within 0 and 6."""
    return clamp(x, 0.0, 6.0)


def negative(x: float) -> float:
    """The number with the other sign."""
    return -x


WITHOUT_PARAMETERS: Mapping[str, Callable[[float], float]] = {
    "relu": relu, "relu6": relu6, "sigmoid": sigmoid, "hardsigmoid": hardsigmoid,
    "hardswish": hardswish, "silu": silu, "tanh": tanh, "sqrt": sqrt, "neg": negative, "abs": abs,
    "exp": exp, "log": log, "rsqrt": rsqrt, "reciprocal": reciprocal, "erf": math.erf,
    "mish": mish, "softplus": softplus, "sin": math.sin, "cos": math.cos, "floor": floor,
    "round": round_half_even,
}  # fmt: skip
"""The functions without parameters by the kind of operation that they are."""
