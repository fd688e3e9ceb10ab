"""The distribution of all values seen, in memory of fixed size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from smidgen.histogram import MOST_CELLS, count_values
from smidgen.statistics import ActivationStatistics, merge_statistics


class HistogramObserver:
    """Counts values; the order of batches and their sizes do not matter.

    Attributes:
        capacity: Most cells of the histogram.
        channel_axis: The axis of output channels, or None to look at the tensor only.
    """

    def __init__(self, *, capacity: int = MOST_CELLS, channel_axis: int | None = None) -> None:
        self.capacity = capacity
        self.channel_axis = channel_axis
        self._statistics: ActivationStatistics | None = None

    def observe(self, values: torch.Tensor, low: float, high: float) -> None:
        """Takes one batch.

        Args:
            values: float32 of any shape, not empty, all finite.
            low: The smallest of them.
            high: The largest of them.
        """
        found = self._of_batch(values.detach(), low, high)
        if self._statistics is not None:
            found = merge_statistics(self._statistics, found)
        self._statistics = found

    @property
    def statistics(self) -> ActivationStatistics:
        """What was found so far."""
        assert self._statistics is not None, "observe comes first"
        return self._statistics

    def _of_batch(self, values: torch.Tensor, low: float, high: float) -> ActivationStatistics:
        # Adding 0 makes -0 a 0, whose sign would depend on the order of values.
        low, high = low + 0.0, high + 0.0
        channel_low, channel_high = self._channels(values)
        return ActivationStatistics(
            low=low,
            high=high,
            histogram=count_values(values.contiguous().numpy(), low, high, self.capacity),
            channel_low=channel_low,
            channel_high=channel_high,
        )

    def _channels(
        self, values: torch.Tensor
    ) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
        if self.channel_axis is None:
            return None, None
        others = [axis for axis in range(values.ndim) if axis != self.channel_axis % values.ndim]
        ends = values.amin(others), values.amax(others)
        low, high = ((end + 0.0).numpy() for end in ends)
        low.flags.writeable = high.flags.writeable = False
        return low, high
