"""The functions of one number that models use, in double precision. Needs no torch.

Python's math and not numpy, whose vector code differs in the last bit from one CPU to another.
"""

from __future__ import annotations

import math


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
