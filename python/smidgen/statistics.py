"""What calibration keeps of an activation's values. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smidgen.histogram import Histogram, merge_histograms

Ends = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ActivationStatistics:
    """The distribution of one activation's values.

    Attributes:
        low: The smallest value, exact, never -0.
        high: The largest value, exact, never -0.
        histogram: How often values occur.
        channel_low: [channels] float32, the smallest value of each output channel of a
            convolution or linear layer; None for other operations. Read-only.
        channel_high: Likewise the largest.
    """

    low: float
    high: float
    histogram: Histogram
    channel_low: Ends | None = None
    channel_high: Ends | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActivationStatistics):
            return NotImplemented
        return (
            (self.low, self.high, self.histogram) == (other.low, other.high, other.histogram)
            and _equal(self.channel_low, other.channel_low)
            and _equal(self.channel_high, other.channel_high)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def constant_channels(self) -> tuple[int, ...]:
        """The channels that have one value in all samples, in order."""
        if self.channel_low is None or self.channel_high is None:
            return ()
        return tuple(int(i) for i in np.flatnonzero(self.channel_low == self.channel_high))


def merge_statistics(
    left: ActivationStatistics, right: ActivationStatistics
) -> ActivationStatistics:
    """Returns the statistics of the values of both; the order does not matter.

    Raises:
        ValueError: they have different channels.
    """
    low, high = min(left.low, right.low), max(left.high, right.high)
    return ActivationStatistics(
        low=low,
        high=high,
        histogram=merge_histograms(
            left.histogram,
            right.histogram,
            low=low,
            high=high,
            capacity=min(left.histogram.capacity, right.histogram.capacity),
        ),
        channel_low=_both(np.minimum, left.channel_low, right.channel_low),
        channel_high=_both(np.maximum, left.channel_high, right.channel_high),
    )


def _both(end: np.ufunc, left: Ends | None, right: Ends | None) -> Ends | None:
    if left is None and right is None:
        return None
    if left is None or right is None or left.shape != right.shape:
        raise ValueError("statistics of different channels")
    both: Ends = end(left, right)
    both.flags.writeable = False
    return both


def _equal(left: Ends | None, right: Ends | None) -> bool:
    if left is None or right is None:
        return left is right
    return np.array_equal(left, right)
