"""Counters, levels and histograms of what happens in every call, and their lines in a scrape.

Those of prometheus_client take a lock for each number, and some 15 microseconds for each line.
These are written by one thread at a time, mostly the event loop's, and read by any: a reader may
miss the newest call, and sees a histogram's count and buckets agree.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

LabelValues = tuple[str, ...]
Told = Mapping[LabelValues, Any]
"""What other processes are told of series, in values that JSON has, by the values of labels."""
_END_OF_OPENMETRICS = b"# EOF\n"
_LEAST_WITH_EXPONENT = 1_000_000
go_text: Callable[[float], str] = floatToGoString
"""Returns a number as Go would write it."""


class _Series(Protocol):
    """The numbers of one choice of labels."""

    def copy(self) -> Self:
        """Returns the same numbers, to which others can be added."""

    def told(self) -> Any:
        """Returns the numbers for other processes; None where nothing was counted."""

    def add(self, told: Any) -> None:
        """Adds those of another process."""


S = TypeVar("S", bound=_Series)


class Count:
    """A counter's series, or a level's.

    Args:
        line: Of a scrape, without the number.
    """

    __slots__ = ("line", "value")

    def __init__(self, line: str = "") -> None:
        self.line = line
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        """Counts one more, or several."""
        self.value += amount

    def copy(self) -> Count:
        """Returns the same numbers, to which others can be added."""
        copy = Count(self.line)
        copy.value = self.value
        return copy

    def told(self) -> int:
        """Returns the value, 0 too: rates need to have seen it."""
        return self.value

    def add(self, told: int) -> None:
        """Adds another process's value."""
        self.value += told


class Distribution:
    """A histogram's series.

    Args:
        ends: Upper ends of the buckets, ascending, each part of its bucket.
        labels: Text of the labels that come before and after the one of the buckets, as
            prometheus_client orders them.
    """

    __slots__ = ("_ends", "counts", "exemplars", "labels", "sum")

    def __init__(self, ends: Sequence[float], labels: tuple[str, str] = ("", "")) -> None:
        self._ends = ends
        self.labels = labels
        self.counts = [0] * (len(ends) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, tuple[str, float, float]] | None = None

    def observe(self, value: float) -> None:
        """Takes in a value."""
        self.counts[bisect_left(self._ends, value)] += 1
        self.sum += value

    def observe_traced(self, value: float, trace_id: str) -> None:
        """Takes in a value, which becomes its bucket's exemplar.

        Args:
            value: The value.
            trace_id: The trace that it was measured in.
        """
        self.observe(value)
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bisect_left(self._ends, value)] = trace_id, value, time.time()

    def copy(self) -> Distribution:
        """Returns the same numbers, to which others can be added."""
        copy = Distribution(self._ends, self.labels)
        copy.counts, copy.sum = list(self.counts), self.sum
        copy.exemplars = None if self.exemplars is None else dict(self.exemplars)
        return copy

    def told(self) -> tuple[list[int], float, list[Any]] | None:
        """Returns counts, sum and exemplars; None without any."""
        counts = list(self.counts)
        if not any(counts):
            return None
        return counts, self.sum, [[*item] for item in (self.exemplars or {}).copy().items()]

    def add(self, told: Any) -> None:
        """Adds another process's counts. Of exemplars of a bucket the newest stays."""
        counts, total, exemplars = told
        self.counts = list(map(add, self.counts, counts))
        self.sum += total
        for index, (trace_id, value, time_s) in exemplars:
            if self.exemplars is None:
                self.exemplars = {}
            known = self.exemplars.get(index)
            if known is None or known[2] < time_s:
                self.exemplars[index] = trace_id, value, time_s


class Family(Collector, Generic[S]):
    """Series by the values of their labels.

    Attributes:
        name: The metric's.
        grows: Whether it goes on from where a process was that has ended.
    """

    grows: ClassVar[bool] = True

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self.name = name
        self._documentation = documentation
        self._label_names = tuple(labels)
        self._series: dict[LabelValues, S] = {}
        self._before_reading: Callable[[], None] | None = None

    @abstractmethod
    def empty(self) -> Self:
        """Returns the same metric without series."""

    def summed(self) -> Self:
        """Returns the same metric with series of the same values, to which others can be added."""
        total = self.empty()
        total._series = {values: series.copy() for values, series in self._snapshot()}
        return total

    @abstractmethod
    def describe(self) -> Iterator[Metric]:
        """Yields the metric without its series."""

    @abstractmethod
    def _make(self, values: LabelValues) -> S:
        """Returns a new series."""

    @abstractmethod
    def _lines(self, *, is_openmetrics: bool) -> Iterator[str]:
        """Yields the lines of all series; several may be one text."""

    def labels(self, *values: str) -> S:
        """Returns the series of these values of the labels, from now on shown."""
        found = self._series.get(values)
        if found is None:
            if len(values) != len(self._label_names):
                raise ValueError(f"{self.name} has the labels {self._label_names}, got {values}")
            found = self._series[values] = self._make(values)
        return found

    def remove_by_labels(self, labels: Mapping[str, str]) -> None:
        """Drops the series with these values of some of the labels."""
        wanted = [(self._label_names.index(name), value) for name, value in labels.items()]
        for values in list(self._series):
            if all(values[index] == value for index, value in wanted):
                del self._series[values]

    def before_reading(self, take_in: Callable[[], None]) -> None:
        """Has a function called each time before the series are read, by the one who reads."""
        self._before_reading = take_in

    def told(self) -> Told:
        """Returns what other processes are told."""
        told = ((values, series.told()) for values, series in self._snapshot())
        return {values: entry for values, entry in told if entry is not None}

    def add(self, told: Told) -> None:
        """Adds what another process has told."""
        for values, entry in told.items():
            self.labels(*values).add(entry)

    def write(self, *, is_openmetrics: bool) -> str:
        """Returns its lines of a scrape."""
        metric = next(iter(self.describe()))
        head = head_text(metric.name, metric.documentation, metric.type, is_openmetrics)
        return head + "".join(self._lines(is_openmetrics=is_openmetrics))

    def _snapshot(self) -> list[tuple[LabelValues, S]]:
        if self._before_reading is not None:
            self._before_reading()
        return list(self._series.items())


class CountFamily(Family[Count]):
    """A counter; its name ends in _total."""

    def empty(self) -> Self:
        """Returns the same metric without series."""
        return type(self)(self.name, self._documentation, self._label_names)

    def describe(self) -> Iterator[Metric]:
        """Yields the metric without its series."""
        yield self._metric()

    def collect(self) -> Iterator[Metric]:
        """Yields the metric."""
        family = self._metric()
        for values, count in self._snapshot():
            family.add_metric(values, count.value)
        yield family

    def _metric(self) -> CounterMetricFamily | GaugeMetricFamily:
        return CounterMetricFamily(self.name, self._documentation, labels=self._label_names)

    def _make(self, values: LabelValues) -> Count:
        labels = label_text(zip(self._label_names, values, strict=True))
        return Count(f"{self.name}{{{labels}}} " if labels else f"{self.name} ")

    def _lines(self, *, is_openmetrics: bool) -> Iterator[str]:
        for _, count in self._snapshot():
            yield f"{count.line}{number_text(count.value)}\n"


class LevelFamily(CountFamily):
    """A gauge: a number of things that are there now."""

    grows: ClassVar[bool] = False

    def show(self, levels: Mapping[LabelValues, int]) -> None:
        """Shows these levels, by the values of labels, and no others."""
        series = {}
        for values, level in levels.items():
            series[values] = self._make(values)
            series[values].value = level
        self._series = series

    def values(self) -> Mapping[LabelValues, int]:
        """Returns the numbers by the values of labels."""
        return {values: level.value for values, level in self._snapshot()}

    def _metric(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self.name, self._documentation, labels=self._label_names)


class DistributionFamily(Family[Distribution]):
    """A histogram."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        super().__init__(name, documentation, labels)
        self._buckets = tuple(buckets)
        self._ends = [*map(go_text, buckets), "+Inf"]

    def empty(self) -> Self:
        """Returns the same metric without series."""
        return type(self)(self.name, self._documentation, self._label_names, self._buckets)

    def describe(self) -> Iterator[Metric]:
        """Yields the metric without its series."""
        yield HistogramMetricFamily(self.name, self._documentation, labels=self._label_names)

    def collect(self) -> Iterator[Metric]:
        """Yields the metric."""
        family = HistogramMetricFamily(self.name, self._documentation, labels=self._label_names)
        for values, found in self._snapshot():
            total, buckets = 0, list[Any]()
            exemplars = found.exemplars or {}
            for index, count in enumerate(list(found.counts)):
                total += count
                buckets.append((self._ends[index], float(total), *_exemplar(exemplars.get(index))))
            family.add_metric(values, buckets, found.sum)
        yield family

    def _make(self, values: LabelValues) -> Distribution:
        pairs = list(zip(self._label_names, values, strict=True))
        before = label_text(pair for pair in pairs if pair[0] < "le")
        after = label_text(pair for pair in pairs if pair[0] > "le")
        return Distribution(self._buckets, (before, after))

    def _lines(self, *, is_openmetrics: bool) -> Iterator[str]:
        name, ends = self.name, self._ends
        for _, found in self._snapshot():
            before, after = found.labels
            # The parts of a line around the bucket's end, which all buckets have in common.
            left = f'{name}_bucket{{{before},le="' if before else f'{name}_bucket{{le="'
            right = f'",{after}}} ' if after else '"} '
            totals = list(accumulate(list(found.counts)))
            total = number_text(totals[-1])
            if totals[-1] < _LEAST_WITH_EXPONENT:
                lines = [
                    f"{left}{end}{right}{so_far}.0\n"
                    for end, so_far in zip(ends, totals, strict=True)
                ]
            else:
                lines = [
                    f"{left}{end}{right}{number_text(so_far)}\n"
                    for end, so_far in zip(ends, totals, strict=True)
                ]
            if is_openmetrics and found.exemplars is not None:
                _append_exemplars(lines, found.exemplars)
            labels = ",".join(filter(None, (before, after)))
            labels = f"{{{labels}}}" if labels else ""
            lines.append(f"{name}_count{labels} {total}\n")
            lines.append(f"{name}_sum{labels} {go_text(found.sum)}\n")
            yield "".join(lines)


class Written(Protocol):
    """A metric that writes its own lines."""

    def write(self, *, is_openmetrics: bool) -> str:
        """Returns its lines of a scrape."""

    def describe(self) -> Iterable[Metric]:
        """Yields the metrics without their series."""

    def collect(self) -> Iterable[Metric]:
        """Yields the metrics."""


def label_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Returns labels as they stand between the braces of a line, by their names."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in sorted(pairs))


def number_text(number: int) -> str:
    """Returns what go_text does of a whole number that is not negative, sooner."""
    return f"{number}.0" if number < _LEAST_WITH_EXPONENT else go_text(number)


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _exemplar(known: tuple[str, float, float] | None) -> tuple[Exemplar, ...]:
    if known is None:
        return ()
    trace_id, value, time_s = known
    return (Exemplar({"trace_id": trace_id}, value, time_s),)


def _append_exemplars(lines: list[str], exemplars: Mapping[int, tuple[str, float, float]]) -> None:
    """Adds exemplars to the lines of their buckets."""
    for index, (trace_id, value, time_s) in dict(exemplars).items():
        exemplar = f' # {{trace_id="{trace_id}"}} {go_text(value)} {time_s}\n'
        lines[index] = lines[index].removesuffix("\n") + exemplar


@lru_cache(256)
def head_text(name: str, documentation: str, kind: str, is_openmetrics: bool) -> str:
    """Returns the lines before the series, which prometheus_client writes."""

    class _One(Collector):
        def collect(self) -> Iterator[Metric]:
            yield Metric(name, documentation, kind)

    registry = CollectorRegistry()
    registry.register(_One())
    if is_openmetrics:
        text: bytes = openmetrics_text(registry)  # type: ignore[no-untyped-call] # theirs
        return text.removesuffix(_END_OF_OPENMETRICS).decode()
    return bytes(generate_latest(registry)).decode()
