"""Counts and times of inference for each version, since the server started."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from smidgen_service.clock import Clock, now_us

VersionKey = tuple[str, int]
"""What stands for a model in metrics, and the version."""
MOST_BATCH_SIZES = 256
"""Batch sizes told apart for each version: a client chooses them, and must not fill the memory."""


@dataclass(slots=True)
class Spent:
    """How often something happened, and how long it took altogether.

    Attributes:
        count: How often.
        ns: Nanoseconds altogether.
    """

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Adds one more time."""
        self.count += 1
        self.ns += round(seconds * 1e9)

    def join(self, other: Spent) -> None:
        """Adds all that another one holds."""
        self.count += other.count
        self.ns += other.ns


@dataclass(frozen=True, slots=True)
class StageTimes:
    """The seconds of one computation by stage: reading the input, computing, making the output."""

    input_s: float
    compute_s: float
    output_s: float

    @property
    def total_s(self) -> float:
        """The seconds of all stages."""
        return self.input_s + self.compute_s + self.output_s


@dataclass(slots=True)
class StageSpent:
    """Time spent by stage."""

    input: Spent = field(default_factory=Spent)
    compute: Spent = field(default_factory=Spent)
    output: Spent = field(default_factory=Spent)

    def add(self, times: StageTimes) -> None:
        """Adds one computation."""
        self.input.add(times.input_s)
        self.compute.add(times.compute_s)
        self.output.add(times.output_s)

    def join(self, other: StageSpent) -> None:
        """Adds all that another one holds."""
        self.input.join(other.input)
        self.compute.join(other.compute)
        self.output.join(other.output)


@dataclass(slots=True)
class VersionStatistics:
    """The statistics of one version.

    Attributes:
        last_inference_us: End of the last computation, in microseconds since 1970; 0 for none.
        inference_count: Samples of requests that succeeded.
        execution_count: Computations. Divides inference_count to the mean batch.
        success: Requests that succeeded, from arrival to answer.
        failed: Requests that failed, by outcome, from arrival to refusal.
        queue: Of requests that succeeded: waiting.
        stages: Of requests that succeeded: the computation that they were part of.
        batches: Computations by their number of samples; at most MOST_BATCH_SIZES of these.
    """

    last_inference_us: int = 0
    inference_count: int = 0
    execution_count: int = 0
    success: Spent = field(default_factory=Spent)
    failed: dict[str, Spent] = field(default_factory=dict)
    queue: Spent = field(default_factory=Spent)
    stages: StageSpent = field(default_factory=StageSpent)
    batches: dict[int, StageSpent] = field(default_factory=dict)

    def join(self, other: VersionStatistics) -> None:
        """Adds what another process counted."""
        self.last_inference_us = max(self.last_inference_us, other.last_inference_us)
        self.inference_count += other.inference_count
        self.execution_count += other.execution_count
        self.success.join(other.success)
        self.queue.join(other.queue)
        self.stages.join(other.stages)
        for outcome, spent in other.failed.items():
            self.failed.setdefault(outcome, Spent()).join(spent)
        for samples, stages in other.batches.items():
            self.batches.setdefault(samples, StageSpent()).join(stages)

    @property
    def fail(self) -> Spent:
        """Requests that failed, whatever the outcome."""
        spent = self.failed.values()
        return Spent(sum(entry.count for entry in spent), sum(entry.ns for entry in spent))


class Counted(Protocol):
    """Knows what was counted, in this process or in several."""

    async def counted(self) -> Mapping[VersionKey, VersionStatistics]:
        """Returns it by what stands for the model and version; without those of no request."""


class InferenceStatistics:
    """The statistics of all versions. Any thread may write and read."""

    def __init__(self, clock: Clock = now_us) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._versions: dict[tuple[str, int], VersionStatistics] = {}

    def executed(self, model_id: str, version: int, samples: int, times: StageTimes) -> None:
        """Counts one computation, of the samples of one request or of several."""
        with self._lock:
            entry = self._entry(model_id, version)
            entry.execution_count += 1
            entry.last_inference_us = self._clock()
            batch = entry.batches.get(samples)
            if batch is None and len(entry.batches) < MOST_BATCH_SIZES:
                batch = entry.batches[samples] = StageSpent()
            if batch is not None:
                batch.add(times)

    def succeeded(
        self,
        model_id: str,
        version: int,
        samples: int,
        *,
        queue_s: float,
        times: StageTimes,
        total_s: float,
    ) -> None:
        """Counts a request that was answered, with the computation that it was part of."""
        with self._lock:
            entry = self._entry(model_id, version)
            entry.inference_count += samples
            entry.success.add(total_s)
            entry.queue.add(queue_s)
            entry.stages.add(times)

    def failed(self, model_id: str, version: int, outcome: str, *, total_s: float) -> None:
        """Counts a request that was refused or given up; `outcome` is one of a few words."""
        with self._lock:
            entry = self._entry(model_id, version)
            entry.failed.setdefault(outcome, Spent()).add(total_s)

    async def counted(self) -> Mapping[VersionKey, VersionStatistics]:
        """Returns what `snapshot` returns."""
        return self.snapshot()

    def snapshot(self) -> dict[VersionKey, VersionStatistics]:
        """Returns a copy by model and version; versions without any request are not in it."""
        with self._lock:
            return copy.deepcopy(self._versions)

    def of(self, model_id: str, version: int) -> VersionStatistics:
        """Returns a copy for one version."""
        with self._lock:
            return copy.deepcopy(self._versions.get((model_id, version), VersionStatistics()))

    def forget_model(self, model_id: str) -> None:
        """Drops what was counted for a deleted model."""
        with self._lock:
            for key in [key for key in self._versions if key[0] == model_id]:
                del self._versions[key]

    def _entry(self, model_id: str, version: int) -> VersionStatistics:
        entry = self._versions.get((model_id, version))
        if entry is None:
            entry = self._versions[model_id, version] = VersionStatistics()
        return entry
