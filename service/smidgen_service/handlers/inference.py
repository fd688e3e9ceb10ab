"""Inference: resolve the version, wait for a place, check, compute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError, SmidgenError
from smidgen_service import names
from smidgen_service.errors import (
    DeadlineError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OverloadedError,
    QuotaExceededError,
    TooLargeError,
)
from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.batching import Batcher, BatchPolicy
from smidgen_service.handlers.computation import (
    Arrays,
    Computed,
    Wanted,
    compute,
    compute_apart,
    samples_of,
    shapes_of,
)
from smidgen_service.handlers.engines import EngineCache
from smidgen_service.handlers.images import ImageInputs, RawImages
from smidgen_service.handlers.joining import Asked, Run
from smidgen_service.handlers.run_times import RunTimes
from smidgen_service.handlers.tensors import RawTensor, check_tensors
from smidgen_service.handlers.versions import VersionResolver
from smidgen_service.metrics import Metrics
from smidgen_service.names import VersionChoice
from smidgen_service.quotas import Quotas
from smidgen_service.store.records import VersionRecord
from smidgen_service.store.tenancy import current_tenant, metric_label
from smidgen_service.threads import Threads

_INVALID = (
    InvalidTensorError,
    InvalidArgumentError,
    NotFoundError,
    FailedPreconditionError,
    TooLargeError,
)


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One request; no output names are all.

    Attributes:
        class_counts: Of outputs of which only the greatest values are wanted: how many.
    """

    model_id: str
    version: VersionChoice
    inputs: Sequence[RawTensor]
    output_names: Sequence[str]
    images: RawImages | None = None
    class_counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferenceAnswer:
    """One answer, with where its time went."""

    model_version: str
    outputs: tuple[RawTensor, ...]
    isa: str
    queue_s: float
    compute_s: float


class InferenceHandler:
    """What InferenceService does."""

    def __init__(
        self,
        versions: VersionResolver,
        engines: EngineCache,
        admission: Admission,
        threads: Threads,
        metrics: Metrics,
        *,
        run_times: RunTimes,
        batching: BatchPolicy,
        quotas: Quotas,
        images: ImageInputs,
        most_answer_bytes: int,
    ) -> None:
        self._versions = versions
        self._engines = engines
        self._admission = admission
        self._threads = threads
        self._metrics = metrics
        self._run_times = run_times
        self._quotas = quotas
        self._batching = batching
        self._batcher = Batcher(admission, threads)
        self._images = images
        self._most_answer_bytes = most_answer_bytes

    async def infer(
        self, request: InferenceRequest, *, deadline_s: float | None
    ) -> InferenceAnswer:
        """Runs one request.

        Args:
            request: The request.
            deadline_s: Seconds left to the caller; None for no limit.
        """
        arrived_s = time.perf_counter()
        version = await self._versions.resolve(request.model_id, request.version)
        try:
            with self._engines.expecting(version.sha256):
                computed = await self._run(request, version, deadline_s)
        except BaseException as error:
            self._count_failure(version, _outcome(error), time.perf_counter() - arrived_s)
            raise
        queue_s = computed.started_s - arrived_s
        self._count_success(version, computed, queue_s, time.perf_counter() - arrived_s)
        return InferenceAnswer(
            model_version=names.version_name(version.model_id, version.version),
            outputs=computed.outputs,
            isa=computed.isa,
            queue_s=queue_s,
            compute_s=computed.times.compute_s,
        )

    async def _run(
        self, request: InferenceRequest, version: VersionRecord, deadline_s: float | None
    ) -> Computed:
        _check_outputs(request.output_names, version)
        # Names, types and lengths are looked at before the request may take a place.
        arrays: Arrays = {}
        if request.images is None:
            arrays = check_tensors(request.inputs, version.inputs)
        wanted = Wanted(
            request.output_names or [spec.name for spec in version.outputs],
            request.class_counts,
            self._most_answer_bytes,
        )
        with self._quotas.inference():
            return await self._compute_in_turn(request, version, arrays, wanted, deadline_s)

    async def _compute_in_turn(
        self,
        request: InferenceRequest,
        version: VersionRecord,
        arrays: Arrays,
        wanted: Wanted,
        deadline_s: float | None,
    ) -> Computed:
        samples = samples_of(arrays) if request.images is None else request.images.count
        estimate_s = self._run_times.estimate_s(version.sha256, samples)
        label = _label(version)
        limits = self._batching.of(version.model_id, version.inputs, version.outputs)
        if limits is not None and _are_one_batch(arrays):
            with self._admission.waiting(deadline_s, estimate_s) as waiting:
                async with self._engines.using(version.sha256) as engine:
                    arrays = await self._arrays(request, version, engine, arrays)
                    return await self._batcher.run(
                        (version.sha256, label, version.version),
                        engine,
                        limits,
                        Asked(arrays, wanted),
                        waiting=waiting,
                        record=partial(self._count_run, version, label),
                    )
        place = self._admission.place(deadline_s, estimate_s)
        async with place, self._engines.using(version.sha256) as engine:
            arrays = await self._arrays(request, version, engine, arrays)
            shapes = shapes_of(arrays)
            if self._run_times.is_brief(version.sha256, shapes):
                computed = compute(engine, arrays, wanted)
                held_s = computed.times.total_s
            else:
                computed, held_s = await self._threads.run(compute_apart, engine, arrays, wanted)
            self._run_times.record_held(version.sha256, shapes, held_s)
            self._count_run(version, label, Run(computed.samples, computed.times))
            return computed

    async def _arrays(
        self, request: InferenceRequest, version: VersionRecord, engine: Engine, given: Arrays
    ) -> Arrays:
        if request.images is None:
            return given
        return await self._images.arrays(
            request.images,
            engine.preprocessing,
            version.inputs,
            names.version_name(version.model_id, version.version),
        )

    def _count_run(self, version: VersionRecord, label: str, run: Run) -> None:
        self._run_times.record(version.sha256, run.samples, run.times.total_s)
        self._metrics.of_version(label, version.version).executed(run.samples)
        self._metrics.statistics.executed(label, version.version, run.samples, run.times)

    def _count_success(
        self, version: VersionRecord, computed: Computed, queue_s: float, total_s: float
    ) -> None:
        label = _label(version)
        self._metrics.of_version(label, version.version).succeeded(queue_s, computed.times)
        self._metrics.statistics.succeeded(
            label,
            version.version,
            computed.samples,
            queue_s=queue_s,
            times=computed.times,
            total_s=total_s,
        )

    def _count_failure(self, version: VersionRecord, outcome: str, total_s: float) -> None:
        label = _label(version)
        self._metrics.of_version(label, version.version).failed(outcome)
        self._metrics.statistics.failed(label, version.version, outcome, total_s=total_s)


def _label(version: VersionRecord) -> str:
    return metric_label(current_tenant(), version.model_id)


def _are_one_batch(arrays: Arrays) -> bool:
    """Tells whether all inputs have as many samples; images are one input, made later."""
    return len({array.shape[0] for array in arrays.values()}) <= 1


def _check_outputs(wanted: Sequence[str], version: VersionRecord) -> None:
    if not wanted:
        return
    known = [spec.name for spec in version.outputs]
    if len(set(wanted)) != len(wanted):
        raise InvalidTensorError(
            "an output is named twice; name each one once",
            reason="OUTPUT_DUPLICATE",
            field="output_names",
        )
    for name in wanted:
        if name not in known:
            raise InvalidTensorError(
                f"the model has no output {name[:80]!r}; its outputs are {', '.join(known)}",
                reason="OUTPUT_UNKNOWN",
                field="output_names",
                output=name[:80],
            )


def _outcome(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, OverloadedError | QuotaExceededError):
        return "rejected"
    if isinstance(error, DeadlineError):
        return "deadline"
    return "invalid" if isinstance(error, SmidgenError) and isinstance(error, _INVALID) else "error"
