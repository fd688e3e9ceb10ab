"""What several processes have counted, as one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from smidgen.health.findings import Findings
from smidgen_service.metrics import TABLE, AnyFamily, Metrics
from smidgen_service.series import Told
from smidgen_service.statistics import VersionKey, VersionStatistics

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[str, Labels], float]
"""Values by the names and labels of their samples."""

_GROWING = frozenset(("counter", "histogram"))
_SAME = frozenset(
    (
        "process_max_fds",
        "process_start_time_seconds",
        "python_info",
        "smidgen_build_info",
        "smidgen_kernel_info",
        "smidgen_processes",
    )
)
"""Metrics of which there is one value, not a sum: the control process's own if it has one."""
_OLDEST = frozenset(("smidgen_queue_oldest_timestamp_seconds",))
"""Metrics of which the least value counts that is not 0."""


@dataclass(frozen=True, slots=True)
class LibraryFamily:
    """One metric of one process, or of several, that prometheus_client keeps.

    Attributes:
        kind: Its type.
        samples: Its values; series that are 0 throughout may be missing.
    """

    kind: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class Numbers:
    """All that was counted by one process, or by several.

    Attributes:
        families: Metrics of prometheus_client's, by name.
        series: Metrics that the server keeps itself, by name.
        statistics: Those of inferences.
        health: What was found lately of sampled requests.
    """

    families: Mapping[str, LibraryFamily] = field(default_factory=dict)
    series: Mapping[str, Told] = field(default_factory=dict)
    statistics: Mapping[VersionKey, VersionStatistics] = field(default_factory=dict)
    health: Mapping[VersionKey, Findings] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Returns it as bytes."""
        families = {
            name: [family.kind, [[*key, value] for key, value in family.samples.items()]]
            for name, family in self.families.items()
        }
        series = {name: [*told.items()] for name, told in self.series.items()}
        statistics = [[*key, entry.told()] for key, entry in self.statistics.items()]
        health = [[*key, found.to_document()] for key, found in self.health.items()]
        return json.dumps([families, series, statistics, health]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Numbers:
        """Returns what to_bytes was called on."""
        families, series, statistics, health = json.loads(data)
        return cls(
            {
                name: LibraryFamily(kind, {_key(*sample[:2]): sample[2] for sample in samples})
                for name, (kind, samples) in families.items()
            },
            {
                name: {tuple(values): entry for values, entry in told}
                for name, told in series.items()
            },
            {
                (label, version): VersionStatistics.from_told(entry)
                for label, version, entry in statistics
            },
            {(label, version): Findings.from_document(found) for label, version, found in health},
        )

    def joined(self, other: Numbers) -> Numbers:
        """Returns the sums of both, but for the series that add up themselves."""
        families = dict(self.families)
        for name, family in other.families.items():
            own = families[name].samples if name in families else {}
            samples = _sum(own, (family.samples,), name)
            families[name] = LibraryFamily(family.kind, samples)
        statistics = _joined_statistics((self.statistics, other.statistics))
        health = _joined_health((self.health, other.health))
        return Numbers(families, {}, statistics, health)

    def growing(self) -> Numbers:
        """Returns what only ever grows: what is left of a process that has ended."""
        families = {name: one for name, one in self.families.items() if one.kind in _GROWING}
        return Numbers(families, self.series, self.statistics)

    def without(self, label: str) -> Numbers:
        """Returns all but what was counted for a model, by what stands for it in metrics."""
        families = {
            name: LibraryFamily(
                family.kind,
                {
                    key: value
                    for key, value in family.samples.items()
                    if ("model", label) not in key[1]
                },
            )
            for name, family in self.families.items()
        }
        series = {name: _without(name, told, label) for name, told in self.series.items()}
        statistics = {key: entry for key, entry in self.statistics.items() if key[0] != label}
        health = {key: found for key, found in self.health.items() if key[0] != label}
        return Numbers(families, series, statistics, health)


def numbers_of(metrics: Metrics, statistics: Mapping[VersionKey, VersionStatistics]) -> Numbers:
    """Returns what this process has counted, for any thread.

    Args:
        metrics: Its metrics.
        statistics: Those of inferences.
    """
    families = {
        metric.name: LibraryFamily(metric.type, dict(_told(metric)))
        for metric in metrics.library.collect()
        if metric.name not in metrics.health_ratios.names
    }
    series = {family.name: family.told() for family in metrics.families}
    return Numbers(
        {name: family for name, family in families.items() if family.samples},
        {name: told for name, told in series.items() if told},
        statistics,
        metrics.health_windows.recent(),
    )


class JoinedNumbers(Collector):
    """What the control process and its fronts have counted, for any thread to read.

    What a front that has ended counted stays in the sums. Nothing goes backwards so, but gauges.

    Args:
        metrics: Those of the control process.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lock = threading.Lock()
        self._latest: dict[int, Numbers] = {}
        self._ended = Numbers()
        self._ended_families = {family.name: family.empty() for family in metrics.families}
        metrics.on_forgetting(self._forget)

    def take(self, front: int, numbers: Numbers) -> None:
        """Takes what a front has counted since it began."""
        with self._lock:
            self._latest[front] = numbers

    def end(self, front: int) -> None:
        """Takes note that a front has ended."""
        with self._lock:
            last = self._latest.pop(front, None)
            if last is None:
                return
            self._ended = self._ended.joined(last.growing())
            for name, told in last.series.items():
                if self._ended_families[name].grows:
                    self._ended_families[name].add(told)

    def statistics(self) -> dict[VersionKey, VersionStatistics]:
        """Returns the statistics of all versions that had requests."""
        own = self._metrics.inference_statistics()
        return _joined_statistics((own, *(part.statistics for part in self._parts())))

    def families(self) -> list[AnyFamily]:
        """Returns the metrics that the server keeps itself, with their sums."""
        with self._lock:
            parts = list(self._latest.values())
            ended = {name: family.told() for name, family in self._ended_families.items()}
        joined = []
        for own in self._metrics.families:
            # Of its own series those that are 0 are shown too.
            family = own.summed()
            for told in (ended[own.name], *(part.series.get(own.name, {}) for part in parts)):
                family.add(told)
            joined.append(family)
        return joined

    def describe(self) -> Iterator[Metric]:
        """Yields the metrics of the library without their series."""
        for metric in self._metrics.library.collect():
            yield Metric(metric.name, metric.documentation, metric.type)

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics of the library with their sums."""
        parts = self._parts()
        ratios = self._metrics.health_ratios
        for metric in self._metrics.library.collect():
            if metric.name in ratios.names:
                continue  # they are no sums, and follow from what was found in all processes
            own = {(sample.name, _labels(sample.labels)): sample.value for sample in metric.samples}
            others = [
                part.families[metric.name].samples for part in parts if metric.name in part.families
            ]
            joined = Metric(metric.name, metric.documentation, metric.type)
            for (name, labels), value in _sum(own, others, metric.name).items():
                joined.add_sample(name, dict(labels), value)
            yield joined
        found = [self._metrics.health_windows.recent(), *(part.health for part in parts)]
        yield from ratios.of(_joined_health(found))

    def _parts(self) -> list[Numbers]:
        with self._lock:
            return [self._ended, *self._latest.values()]

    def _forget(self, label: str) -> None:
        with self._lock:
            self._ended = self._ended.without(label)
            for name, family in self._ended_families.items():
                if "model" in TABLE[name].labels:
                    family.remove_by_labels({"model": label})
            self._latest = {front: one.without(label) for front, one in self._latest.items()}


def _without(name: str, told: Told, label: str) -> Told:
    labels = TABLE[name].labels
    if "model" not in labels:
        return told
    index = labels.index("model")
    return {values: entry for values, entry in told.items() if values[index] != label}


def _sum(own: Samples, others: Iterable[Samples], metric: str) -> Samples:
    """Returns the sums of a metric's samples, or what else becomes of several."""
    total = dict(own)
    for samples in others:
        for key, value in samples.items():
            if key not in total:
                total[key] = value
            elif metric in _OLDEST:
                total[key] = min(filter(None, (total[key], value)), default=0.0)
            elif metric not in _SAME:
                total[key] += value
    return total


def _joined_statistics(
    parts: Iterable[Mapping[VersionKey, VersionStatistics]],
) -> dict[VersionKey, VersionStatistics]:
    total: dict[VersionKey, VersionStatistics] = {}
    for part in parts:
        for key, entry in part.items():
            total[key] = total[key].joined(entry) if key in total else entry
    return total


def _joined_health(
    parts: Iterable[Mapping[VersionKey, Findings]],
) -> dict[VersionKey, Findings]:
    total: dict[VersionKey, Findings] = {}
    for part in parts:
        for key, found in part.items():
            total[key] = total[key].joined(found) if key in total else found
    return total


def _told(metric: Metric) -> Iterator[tuple[tuple[str, Labels], float]]:
    """Yields the samples of series that are not 0: the control process shows the others too."""
    series: dict[Labels, list[tuple[tuple[str, Labels], float]]] = {}
    for sample in metric.samples:
        labels = _labels(sample.labels)
        owner = tuple(label for label in labels if label[0] != "le")
        series.setdefault(owner, []).append(((sample.name, labels), sample.value))
    for samples in series.values():
        if any(value for _, value in samples):
            yield from samples


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _key(name: str, labels: Iterable[Iterable[str]]) -> tuple[str, Labels]:
    return name, tuple((label, value) for label, value in labels)
