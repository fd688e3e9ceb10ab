"""The elementary functions, each one a fixed sequence of float32 operations.

No library's exp or erf is used: those differ from machine to machine. The polynomials are minimax
fits of our own (Remez exchange in 40 digits, rounded to float32); the largest errors, which tests
measure against float64, are in docs/arithmetic.md. sin, cos and pow compute in float64 and round
once at the end.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smidgen.functional.types import F32

F64 = NDArray[np.float64]
Operand = F32 | np.float32

_TINY = np.float32(2.0**-126)  # the smallest normal value
_ROUNDER_BITS = np.int32(0x4B400000)
_ROUNDER = np.float32(1.5 * 2.0**23)  # adding and subtracting it rounds |t| < 2^22 half to even
# The upper part has few digits, so that its products with n are exact.
_LN2_HIGH = np.float32(float.fromhex("0x1.62e4p-1"))
_LN2_LOW = np.float32(float.fromhex("0x1.7f7d1cp-20"))
_LOG2_E = np.float32(float.fromhex("0x1.715476p+0"))


def _coefficients(*texts: str) -> tuple[np.float32, ...]:
    return tuple(np.float32(float.fromhex(text)) for text in texts)


# (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2
_EXP = _coefficients("0x1p-1", "0x1.5554dcp-3", "0x1.5554b8p-5", "0x1.120be6p-7", "0x1.6d75e6p-10")
EXP_LOWEST = np.float32(float.fromhex("-0x1.5d589ep+6"))  # exp of less is not a normal value
_EXP_HIGHEST = np.float32(float.fromhex("0x1.62e42ep+6"))  # exp of more is infinite

# (log(1 + f) - f + f^2 / 2) / f^3 for sqrt(1/2) <= 1 + f <= sqrt(2)
_LOG = _coefficients(
    "0x1.555554p-2",
    "-0x1.ffffe6p-3",
    "0x1.999d36p-3",
    "-0x1.55625cp-3",
    "0x1.23dd1ap-3",
    "-0x1.fbc4e8p-4",
    "0x1.dc8e5ep-4",
    "-0x1.dd96bap-4",
    "0x1.2c564ep-4",
)
_ROOT_HALF_BITS = np.int32(0x3F3504F3)

# (tanh(x) - x) / x^3 as a polynomial of x^2, for |x| < 0.625
_TANH = _coefficients(
    "-0x1.555556p-2",
    "0x1.1110e6p-3",
    "-0x1.ba07c6p-5",
    "0x1.6498p-6",
    "-0x1.10f1d4p-7",
    "0x1.2a4eeep-9",
)
_TANH_SMALL = np.float32(0.625)

# erf(x) / x - 1 as a polynomial of x^2, for |x| < 0.921875
_ERF = _coefficients(
    "0x1.06eba6p-3",
    "-0x1.8126e8p-2",
    "0x1.ce1ab6p-4",
    "-0x1.b68d5ap-6",
    "0x1.473d3ap-8",
    "-0x1.39fb98p-11",
)
_ERF_SMALL = np.float32(0.921875)
# -log(1 - erf(u)) for 0.92 <= u <= 3.93, beyond which erf is 1
_ERF_TAIL = _coefficients(
    "0x1.231660p-11",
    "0x1.2048aep+0",
    "0x1.47a946p-1",
    "0x1.9f2ceep-4",
    "-0x1.56d2e8p-6",
    "0x1.61f67cp-9",
    "-0x1.4e55ep-13",
)
_ERF_LARGEST = np.float32(3.9300000667572021484375)


def polynomial(x: F32, coefficients: tuple[np.float32, ...]) -> F32:
    """Evaluates c[0] + c[1] x + ... by Horner's rule: one product, then one sum, for each step."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def maximum(lhs: Operand, rhs: Operand) -> F32:
    """The larger value; rhs if they are equal or either is NaN."""
    return np.where(lhs > rhs, lhs, rhs)


def minimum(lhs: Operand, rhs: Operand) -> F32:
    """The smaller value; rhs if they are equal or either is NaN."""
    return np.where(lhs < rhs, lhs, rhs)


def _exp_parts(x: F32) -> tuple[F32, NDArray[np.int32]]:
    """Returns exp(r) - 1 and n with x = n ln(2) + r, |r| <= ln(2) / 2, for x in exp's range."""
    shifted = x * _LOG2_E + _ROUNDER
    n = shifted - _ROUNDER
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    return polynomial(r, _EXP) * (r * r) + r, shifted.view(np.int32) - _ROUNDER_BITS


def exp(x: F32) -> F32:
    """e^x; 0 below -87.33654, where results are not normal values, infinite above 88.72283."""
    with np.errstate(all="ignore"):
        bounded = minimum(_EXP_HIGHEST, maximum(EXP_LOWEST, x))
        part, n = _exp_parts(np.where(np.isnan(x), np.float32(0), bounded))
        value = ((part + np.float32(1)).view(np.int32) + (n << 23)).view(np.float32)
    value = np.where(x < EXP_LOWEST, np.float32(0), value)
    value = np.where(x > _EXP_HIGHEST, np.float32(np.inf), value)
    return np.where(np.isnan(x), x, value)


def expm1(x: F32) -> F32:
    """e^x - 1 for x <= 0, without losing digits near 0."""
    with np.errstate(all="ignore"):
        part, n = _exp_parts(maximum(EXP_LOWEST, x))
        return np.where(n == 0, part, exp(x) - np.float32(1))


def log(x: F32) -> F32:
    """The natural logarithm; -inf for 0, NaN below."""
    with np.errstate(all="ignore"):
        is_small = x < _TINY
        scaled = np.where(is_small, x * np.float32(2.0**23), x)
        shifted = scaled.view(np.int32) - _ROOT_HALF_BITS
        e = (shifted >> 23).astype(np.float32)
        e = np.where(is_small, e - np.float32(23), e)
        f = ((shifted & 0x7FFFFF) + _ROOT_HALF_BITS).view(np.float32) - np.float32(1)
        square = f * f
        tail = polynomial(f, _LOG) * (square * f) + e * _LN2_LOW
        value = (f + (tail - np.float32(0.5) * square)) + e * _LN2_HIGH
    value = np.where(x == np.float32(np.inf), x, value)
    value = np.where(x == 0, np.float32(-np.inf), value)
    return np.where(x >= 0, value, np.float32(np.nan))


def log1p_of_unit(u: F32) -> F32:
    """log(1 + u) for u in [0, 1], without losing digits near 0."""
    with np.errstate(all="ignore"):
        w = np.float32(1) + u
        lost = u - (w - np.float32(1))
        value: F32 = log(w) + lost / w
    return value


def tanh(x: F32) -> F32:
    """The hyperbolic tangent."""
    with np.errstate(all="ignore"):
        square = x * x
        small = x + x * (square * polynomial(square, _TANH))
        size = np.abs(x)
        large = np.float32(1) - np.float32(2) / (exp(size + size) + np.float32(1))
    return np.where(size < _TANH_SMALL, small, np.copysign(large, x))


def erf(x: F32) -> F32:
    """The error function."""
    with np.errstate(all="ignore"):
        square = x * x
        small = x + x * polynomial(square, _ERF)
        size = np.abs(x)
        tail = polynomial(minimum(_ERF_LARGEST, size), _ERF_TAIL)
        large = np.float32(1) - exp(-tail)
    return np.where(size < _ERF_SMALL, small, np.copysign(large, x))


_HALF_PI_PARTS = tuple(  # of 33, 33 and 53 bits, so that products with n < 2^20 are exact
    float.fromhex(text) for text in ("0x1.921fb544p+0", "0x1.0b4611a6p-34", "0x1.3198a2e037073p-69")
)
_TWO_PI = float.fromhex("0x1.921fb54442d18p+2")
_TWO_OVER_PI = float.fromhex("0x1.45f306dc9c883p-1")
_SIN = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8))
_COS = tuple((-1) ** k / math.factorial(2 * k) for k in range(9))
_ROUNDER_64 = 1.5 * 2.0**52


def _polynomial_64(x: F64, coefficients: tuple[float, ...]) -> F64:
    value = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value


def _quarter_turns(x: F32) -> tuple[F64, NDArray[np.int64]]:
    """Returns r in about [-pi/4, pi/4] and the number of quarter turns taken from x."""
    wide = x.astype(np.float64)
    wide = np.where(np.abs(wide) > 2.0**20, np.fmod(wide, _TWO_PI), wide)
    n = (wide * _TWO_OVER_PI + _ROUNDER_64) - _ROUNDER_64
    first, second, third = _HALF_PI_PARTS
    r = ((wide - n * first) - n * second) - n * third
    return r, np.where(np.isnan(n), 0, n).astype(np.int64)


def _turned(r: F64, turns: NDArray[np.int64]) -> F32:
    square = r * r
    sine = r * _polynomial_64(square, _SIN)
    cosine = _polynomial_64(square, _COS)
    value = np.where(turns % 2 == 0, sine, cosine)
    return np.where(turns % 4 >= 2, -value, value).astype(np.float32)


def sin(x: F32) -> F32:
    """The sine of an angle in radians; NaN for infinities."""
    with np.errstate(all="ignore"):
        return _turned(*_quarter_turns(x))


def cos(x: F32) -> F32:
    """The cosine of an angle in radians; NaN for infinities."""
    with np.errstate(all="ignore"):
        r, turns = _quarter_turns(x)
        return _turned(r, turns + 1)


_LN2_HIGH_64 = float.fromhex("0x1.62e42feep-1")
_LN2_LOW_64 = float.fromhex("0x1.a39ef35793c76p-33")
_LOG2_E_64 = float.fromhex("0x1.71547652b82fep+0")
_LOG_64 = tuple(1 / (2 * k + 1) for k in range(12))  # of atanh(s) / s, by s^2
_EXP_64 = tuple(1 / math.factorial(k) for k in range(14))
_ROOT_HALF_BITS_64 = np.int64(0x3FE6A09E00000000)


def _log_64(x: F64) -> F64:
    """The natural logarithm of normal positive values."""
    shifted = x.view(np.int64) - _ROOT_HALF_BITS_64
    e = (shifted >> 52).astype(np.float64)
    m = ((shifted & ((1 << 52) - 1)) + _ROOT_HALF_BITS_64).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    return e * _LN2_HIGH_64 + (2.0 * s * _polynomial_64(s * s, _LOG_64) + e * _LN2_LOW_64)


def _exp_64(x: F64) -> F64:
    """e^x of values in [-200, 200]."""
    n = (x * _LOG2_E_64 + _ROUNDER_64) - _ROUNDER_64
    r = (x - n * _LN2_HIGH_64) - n * _LN2_LOW_64
    power = ((n.astype(np.int64) + 1023) << 52).view(np.float64)
    return _polynomial_64(r, _EXP_64) * power


def power(base: F32, exponent: F32) -> F32:
    """base^exponent with the special cases of IEEE 754's pow; the arrays have one shape."""
    with np.errstate(all="ignore"):
        b, e = base.astype(np.float64), exponent.astype(np.float64)
        size = np.abs(b)
        is_plain = (size > 0) & np.isfinite(size) & np.isfinite(e)
        product = np.where(is_plain, e, 0.0) * _log_64(np.where(is_plain, size, 1.0))
        value = _exp_64(np.minimum(np.maximum(product, -200.0), 200.0))
        is_integer = np.floor(e) == e
        is_odd = is_integer & (np.floor(e / 2) * 2 != e)
        # What the size of a base of 0, of infinity, or an exponent of infinity brings.
        grows = (size > 1) == (e > 0)
        special = np.where(grows, np.inf, 0.0)
        special = np.where((size == 1) & np.isinf(e), 1.0, special)
        value = np.where(is_plain, value, special)
        value = np.where((b < 0) & np.isfinite(b) & np.isfinite(e) & ~is_integer, np.nan, value)
        value = np.where(np.signbit(b) & is_odd, -value, value)
        value = np.where(np.isnan(b) | np.isnan(e), np.nan, value)
        value = np.where((e == 0) | (b == 1), 1.0, value)
        return value.astype(np.float32)
