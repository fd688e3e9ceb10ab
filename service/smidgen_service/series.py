"""Counters and histograms of what happens in every call: numbers that become metrics when read.

Those of prometheus_client take a lock for each number. These are written by one thread at a time,
mostly the event loop's, and read by any: a reader may miss the newest call, and sees a histogram's
count and buckets agree.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

S = TypeVar("S")


class Count:
    """A counter's series."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """Counts one more."""
        self.value += 1


class Distribution:
    """A histogram's series.

    Args:
        ends: Upper ends of the buckets, ascending, each part of its bucket.
    """

    __slots__ = ("_ends", "counts", "sum")

    def __init__(self, ends: Sequence[float]) -> None:
        self._ends = ends
        self.counts = [0] * (len(ends) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Takes in a value."""
        self.counts[bisect_left(self._ends, value)] += 1
        self.sum += value


class _Family(Collector, Generic[S]):
    """Series by the values of their labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], make: Callable[[], S]
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._label_names = tuple(labels)
        self._make = make
        self._series: dict[tuple[str, ...], S] = {}

    def labels(self, *values: str) -> S:
        """Returns the series of these values of the labels, from now on shown."""
        found = self._series.get(values)
        if found is None:
            if len(values) != len(self._label_names):
                raise ValueError(f"{self._name} has the labels {self._label_names}, got {values}")
            found = self._series[values] = self._make()
        return found

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Drops the series with these values of some of the labels."""
        wanted = [(self._label_names.index(name), value) for name, value in labels.items()]
        for values in list(self._series):
            if all(values[index] == value for index, value in wanted):
                del self._series[values]

    def _snapshot(self) -> list[tuple[tuple[str, ...], S]]:
        return list(self._series.items())


class CountFamily(_Family[Count]):
    """A counter; its name ends in _total."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        super().__init__(name, documentation, labels, Count)

    def describe(self) -> Iterator[Metric]:
        """Yields the metric without its series."""
        yield CounterMetricFamily(self._name, self._documentation, labels=self._label_names)

    def collect(self) -> Iterator[Metric]:
        """Yields the metric."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._label_names)
        for values, count in self._snapshot():
            family.add_metric(values, count.value)
        yield family


class DistributionFamily(_Family[Distribution]):
    """A histogram."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        super().__init__(name, documentation, labels, lambda: Distribution(buckets))
        self._ends = [*map(floatToGoString, buckets), "+Inf"]
        self._before_reading: Callable[[], None] | None = None

    def before_reading(self, take_in: Callable[[], None]) -> None:
        """Has a function called each time before the series are read, by the one who reads."""
        self._before_reading = take_in

    def describe(self) -> Iterator[Metric]:
        """Yields the metric without its series."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._label_names)

    def collect(self) -> Iterator[Metric]:
        """Yields the metric."""
        if self._before_reading is not None:
            self._before_reading()
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._label_names)
        for values, found in self._snapshot():
            total, buckets = 0, []
            for end, count in zip(self._ends, list(found.counts), strict=True):
                total += count
                buckets.append((end, float(total)))
            family.add_metric(values, buckets, found.sum)
        yield family
