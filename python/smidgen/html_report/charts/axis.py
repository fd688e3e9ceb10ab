"""From values to places in a chart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MOST_TICKS = 6
_DECADES_FOR_LOG = 2.0
_EQUAL = 1e-9
_LEAST_RANGE = 1e-300


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic axis.

    Attributes:
        low: Value at its beginning.
        high: Value at its end, greater.
        begin: Place of `low` in pixels.
        end: Place of `high` in pixels.
        is_log: Whether equal distances are equal ratios.
    """

    low: float
    high: float
    begin: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Returns where a value lies; those outside lie at the nearer end."""
        low, high, at = (self._position(v) for v in (self.low, self.high, value))
        share = min(1.0, max(0.0, (at - low) / (high - low)))
        return self.begin + share * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Returns round values between the ends."""
        if self.is_log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = _round_step((self.high - self.low) / _MOST_TICKS)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [index * step for index in range(first, last + 1)]

    def _position(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.is_log else value


def linear_axis(
    values: Iterable[float],
    begin: float,
    end: float,
    *,
    from_zero: bool,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Axis:
    """Returns an axis that holds all values, and 0 if it begins there.

    Args:
        values: What it is for, all of them within the ends.
        begin: Place of its beginning in pixels.
        end: Place of its end.
        from_zero: Whether it has 0.
        within: What no value can be beyond, and the axis is not either.
    """
    low, high = _extent(values)
    if from_zero:
        low, high = min(0.0, low), max(0.0, high)
    magnitude = max(abs(low), abs(high))
    if high - low <= _EQUAL * magnitude or high - low < _LEAST_RANGE:
        margin = max(1.0, magnitude / 100)
        low, high = (low, low + (magnitude or 1.0)) if from_zero else (low - margin, high + margin)
    return Axis(max(low, within[0]), min(high, within[1]), begin, end)


def loss_axis(values: Sequence[float], begin: float, end: float) -> Axis:
    """Returns a logarithmic axis where values are positive and of different orders."""
    low, high = _extent(values)
    if low > 0 and math.log10(high / low) >= _DECADES_FOR_LOG:
        return Axis(low, high, begin, end, is_log=True)
    return linear_axis(values, begin, end, from_zero=True)


def _extent(values: Iterable[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 1.0)


def _round_step(least: float) -> float:
    """Returns 1, 2 or 5 times a power of ten, the first that is not less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= least)
