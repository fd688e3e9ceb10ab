"""What was found of sampled requests lately, and the gauges that say it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from smidgen.health.findings import Findings, TensorFindings
from smidgen_service.statistics import VersionKey

SPAN_S = 300.0
"""What is shown was found within this and twice this."""

LEAST_SAMPLED = 16
"""Requests that distributions are told of from: fewer differ from calibration by chance."""

LEAST_VALUES = 512
"""Values of a layer that its distribution is told from: by chance alone, n of them in c cells drift
by about c / (5.5 n)."""

_Ratio = Callable[[TensorFindings], float]


@dataclass(frozen=True, slots=True)
class _Window:
    """What was found within one span, and within the one before.

    Attributes:
        number: Of the span.
        current: Found in it so far.
        previous: Found in the one before; None for nothing.
    """

    number: int
    current: Findings
    previous: Findings | None = None

    def at(self, number: int) -> Findings | None:
        """Returns what is recent in a span: of that one and the one before."""
        if number == self.number:
            return self.current if self.previous is None else self.previous.joined(self.current)
        return self.current if number == self.number + 1 else None

    def add(self, number: int, found: Findings) -> _Window:
        """Returns the window with more."""
        if number == self.number:
            return _Window(number, self.current.joined(found), self.previous)
        previous = self.current if number == self.number + 1 else None
        return _Window(number, found, previous)


class HealthWindows:
    """The findings of the last minutes, by version. One thread adds, and any thread reads.

    Args:
        clock: Seconds, never backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[VersionKey, _Window] = {}

    def add(self, key: VersionKey, found: Findings) -> None:
        """Takes in what was found of a request."""
        window = self._windows.get(key)
        number = self._span()
        self._windows[key] = _Window(number, found) if window is None else window.add(number, found)

    def recent(self) -> Mapping[VersionKey, Findings]:
        """Returns what was found lately; versions without requests since are not in it."""
        number = self._span()
        found = {key: window.at(number) for key, window in list(self._windows.items())}
        return {key: findings for key, findings in found.items() if findings is not None}

    def forget(self, label: str) -> None:
        """Drops what was found for a model, by what stands for it in metrics."""
        for key in [key for key in self._windows if key[0] == label]:
            del self._windows[key]

    def _span(self) -> int:
        return int(self._clock() // SPAN_S)


@dataclass(frozen=True, slots=True)
class RatioSpec:
    """A gauge of watched tensors.

    Attributes:
        documentation: What it measures.
        labels: Its labels.
        ratio: Its value for one tensor, 0 to 1.
    """

    documentation: str
    labels: tuple[str, ...]
    ratio: _Ratio


class HealthRatios(Collector):
    """The gauges of watched tensors, computed when they are read.

    Args:
        specs: The gauges by name.
        recent: Returns what was found lately.
    """

    def __init__(
        self,
        specs: Mapping[str, RatioSpec],
        recent: Callable[[], Mapping[VersionKey, Findings]],
    ) -> None:
        self._specs = specs
        self._recent = recent

    @property
    def names(self) -> frozenset[str]:
        """The names of the gauges."""
        return frozenset(self._specs)

    def describe(self) -> Iterator[Metric]:
        """Yields the metrics without their series."""
        yield from self.of({})

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics."""
        yield from self.of(self._recent())

    def of(self, recent: Mapping[VersionKey, Findings]) -> Iterator[Metric]:
        """Yields the metrics that say what was found."""
        for name, spec in self._specs.items():
            family = GaugeMetricFamily(name, spec.documentation, labels=spec.labels)
            for (label, version), found in recent.items():
                if found.sampled < LEAST_SAMPLED:
                    continue
                for tensor in found.tensors:
                    if tensor.values < LEAST_VALUES:
                        continue
                    labels = (label, str(version), tensor.watched.label)
                    family.add_metric(labels, spec.ratio(tensor))
            yield family
