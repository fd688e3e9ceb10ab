"""Chooses requests whose quantization is looked at, and has it done beside all requests.

A request that is not chosen costs one comparison: of the time with the one from which on its
version may be looked at again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np

from smidgen.health.findings import Findings
from smidgen.tensor_spec import TensorSpec
from smidgen_service.handlers.computation import Arrays, Computed
from smidgen_service.handlers.examination import Examination, Sample
from smidgen_service.logs import log
from smidgen_service.metrics import Metrics
from smidgen_service.statistics import VersionKey
from smidgen_service.store.records import VersionRecord

MOST_SAMPLE_BYTES = 16 << 20
"""Inputs of one sample that are copied; larger ones are not looked at."""
_FAILED_S = 60.0
_LATELY_S = 60.0


class Sampling:
    """When a version may be looked at again.

    Attributes:
        key: The version.
        due_s: From when on, by time.perf_counter; infinite for never, and while it is looked at.
        is_known: Whether it was looked at, so that what it takes is in `due_s`.
    """

    __slots__ = ("due_s", "is_known", "key")

    def __init__(self, key: VersionKey, due_s: float) -> None:
        self.key = key
        self.due_s = due_s
        self.is_known = False

    @property
    def tenant(self) -> str:
        """Whose model it is; empty for the one tenant of a server that tells no callers apart."""
        return self.key[0].rpartition("/")[0]


NEVER = Sampling(("", 0), math.inf)


@dataclass(frozen=True, slots=True)
class SamplingLimits:
    """What looking at requests may take.

    Attributes:
        rate: Requests a second of each version, at most; 0 for none.
        cpu_share: Of one CPU's time, more than 0. Tenants have equal parts of it, and of a tenant's
            its versions: one that takes long waits for long, and others do not wait for it.
    """

    rate: float
    cpu_share: float


class Sampler:
    """Has at most one request in memory, for the event loop's thread alone.

    Args:
        examination: Looks at requests.
        metrics: Say what was found.
        limits: What it may take.
        clock: Seconds, as of requests' arrival.
    """

    def __init__(
        self,
        examination: Examination,
        metrics: Metrics,
        limits: SamplingLimits,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._examination = examination
        self._metrics = metrics
        self._limits = limits
        self._clock = clock
        self._samplings: dict[VersionKey, Sampling] = {}
        self._is_busy = False
        # What a version takes is known when it was looked at. A tenant that makes new ones all the
        # time would have each looked at once, so these wait for each other.
        self._first_s: dict[str, float] = {}
        metrics.on_forgetting(self._forget)

    def of(self, label: str, version: int) -> Sampling:
        """Returns when a version may be looked at, by what stands for its model in metrics."""
        if self._limits.rate <= 0:
            return NEVER
        key = label, version
        found = self._samplings.get(key)
        if found is None:
            found = self._samplings[key] = Sampling(key, -math.inf)
        return found

    def offer(
        self, sampling: Sampling, record: VersionRecord, arrays: Arrays, computed: Computed
    ) -> None:
        """Has a request looked at that came when its version was due, unless another one is.

        Args:
            sampling: The version's.
            record: Its row.
            arrays: The request's inputs, which are copied.
            computed: Its answer.
        """
        now_s = self._clock()
        first_s = -math.inf if sampling.is_known else self._first_s.get(sampling.tenant, -math.inf)
        sampling.due_s = max(now_s + 1 / self._limits.rate, first_s)
        if self._is_busy or now_s < first_s:
            return
        sample = _take(record, arrays, computed)
        if sample is None:
            return
        self._is_busy = True
        sampling.due_s = math.inf
        done = partial(self._done, sampling, record, now_s)
        loop = asyncio.get_running_loop()

        def tell(future: Future[tuple[Findings | str, float]]) -> None:
            try:
                loop.call_soon_threadsafe(done, future)
            except RuntimeError:  # the server has ended
                return

        self._examination.submit(sample).add_done_callback(tell)

    def _done(
        self,
        sampling: Sampling,
        record: VersionRecord,
        begun_s: float,
        future: Future[tuple[Findings | str, float]],
    ) -> None:
        self._is_busy = False
        if future.cancelled():
            return
        now_s = self._clock()
        error = future.exception()
        if error is not None:  # whatever it is, requests are answered without it
            sampling.due_s = now_s + _FAILED_S
            # Its type alone: messages about tensors have values in them.
            kind = type(error).__name__
            log("health_failed", level=logging.WARNING, artifact=record.sha256, error_type=kind)
            return
        found, cpu_s = future.result()
        tenants, versions = self._in_turn(sampling)
        rest_s = cpu_s / self._limits.cpu_share * tenants
        if not sampling.is_known:
            self._first_s[sampling.tenant] = now_s + rest_s
        sampling.is_known = True
        if isinstance(found, str):
            log("health_unavailable", artifact=record.sha256, error_text=found)
            return  # for good: its sampling stays infinite
        sampling.due_s = max(begun_s + 1 / self._limits.rate, now_s + rest_s * versions)
        self._count(sampling, found)

    def _count(self, sampling: Sampling, found: Findings) -> None:
        key = sampling.key
        if self._samplings.get(key) is not sampling:
            return  # its model was deleted meanwhile, and may be another one now
        labels = key[0], str(key[1])
        self._metrics.health_sampled.labels(*labels).value += found.sampled
        self._metrics.health_compared.labels(*labels).value += found.compared
        self._metrics.health_disagreed.labels(*labels).value += found.disagreed
        self._metrics.health_windows.add(key, found)

    def _in_turn(self, sampling: Sampling) -> tuple[int, int]:
        """Returns how many tenants have versions that are looked at, and how many this one has."""
        lately_s = self._clock() - _LATELY_S
        versions = Counter(
            one.tenant for one in self._samplings.values() if lately_s < one.due_s < math.inf
        )
        versions[sampling.tenant] += 1  # its due_s is infinite at present
        return len(versions), versions[sampling.tenant]

    def _forget(self, label: str) -> None:
        for key in [key for key in self._samplings if key[0] == label]:
            del self._samplings[key]


def _take(record: VersionRecord, arrays: Arrays, computed: Computed) -> Sample | None:
    """Copies the first sample of a request; None if it is too large."""
    is_batch = _begins_with_batch((*record.inputs, *record.outputs)) and _are_alike(arrays)
    inputs = {name: array[:1] if is_batch else array for name, array in arrays.items()}
    if sum(array.nbytes for array in inputs.values()) > MOST_SAMPLE_BYTES:
        return None
    answer = None
    first = record.outputs[0]
    for tensor in computed.outputs:
        # Where only the greatest values are wanted, the output has another type. Some models put
        # samples and something else in one axis, whose first part is not all of the first sample.
        is_whole = not is_batch or tensor.shape[0] == computed.samples
        if tensor.name == first.name and tensor.dtype == first.dtype and is_whole:
            values = np.frombuffer(tensor.data, first.dtype).reshape(tensor.shape)
            answer = (values[:1] if is_batch else values).copy()
    return Sample(record.sha256, {name: array.copy() for name, array in inputs.items()}, answer)


def _are_alike(arrays: Arrays) -> bool:
    """Tells whether all inputs have as many samples: some models compare two batches."""
    return len({array.shape[0] for array in arrays.values()}) == 1


def _begins_with_batch(specs: Sequence[TensorSpec]) -> bool:
    return all(spec.shape and spec.shape[0] is None for spec in specs)
