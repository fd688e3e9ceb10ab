"""Inference: resolve the version, wait for a place, check, compute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

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
from smidgen_service.handlers.classes import greatest_values
from smidgen_service.handlers.engines import EngineCache
from smidgen_service.handlers.images import ImageInputs, RawImages
from smidgen_service.handlers.tensors import RawTensor, check_finite, check_tensors, raw_tensor
from smidgen_service.handlers.versions import VersionResolver
from smidgen_service.metrics import Metrics
from smidgen_service.quotas import Quotas
from smidgen_service.statistics import StageTimes
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
    """One request; version None is the newest, no output names are all.

    Attributes:
        class_counts: Of outputs of which only the greatest values are wanted: how many.
    """

    model_id: str
    version: int | None
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


@dataclass(frozen=True, slots=True)
class _Computed:
    outputs: tuple[RawTensor, ...]
    batch_size: int
    started_s: float
    times: StageTimes


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
        quotas: Quotas,
        images: ImageInputs,
        most_answer_bytes: int,
    ) -> None:
        self._versions = versions
        self._engines = engines
        self._admission = admission
        self._threads = threads
        self._metrics = metrics
        self._quotas = quotas
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
        labels = (metric_label(current_tenant(), version.model_id), str(version.version))
        try:
            computed, engine = await self._run(request, version, deadline_s)
        except BaseException as error:
            outcome, total_s = _outcome(error), time.perf_counter() - arrived_s
            self._metrics.inference_requests.labels(*labels, outcome).inc()
            self._metrics.statistics.failed(labels[0], version.version, outcome, total_s=total_s)
            raise
        queue_s = computed.started_s - arrived_s
        self._observe(labels, computed, queue_s)
        self._count(version, computed, queue_s, time.perf_counter() - arrived_s)
        return InferenceAnswer(
            model_version=names.version_name(version.model_id, version.version),
            outputs=computed.outputs,
            isa=engine.isa,
            queue_s=queue_s,
            compute_s=computed.times.compute_s,
        )

    async def _run(
        self, request: InferenceRequest, version: VersionRecord, deadline_s: float | None
    ) -> tuple[_Computed, Engine]:
        _check_outputs(request.output_names, version)
        # Names, types and lengths are looked at before the request may take a place.
        arrays = {}
        if request.images is None:
            arrays = check_tensors(request.inputs, version.inputs)
        with self._quotas.inference():
            return await self._compute_in_turn(request, version, arrays, deadline_s)

    async def _compute_in_turn(
        self,
        request: InferenceRequest,
        version: VersionRecord,
        arrays: Mapping[str, NDArray[np.generic]],
        deadline_s: float | None,
    ) -> tuple[_Computed, Engine]:
        async with self._admission.place(deadline_s):
            engine = await self._engines.get(version.sha256)
            if request.images is not None:
                arrays = await self._images.arrays(
                    request.images,
                    engine.preprocessing,
                    version.inputs,
                    names.version_name(version.model_id, version.version),
                )
            wanted = request.output_names or [spec.name for spec in version.outputs]
            compute = partial(
                _compute,
                class_counts=request.class_counts,
                most_answer_bytes=self._most_answer_bytes,
            )
            return await self._threads.run(compute, engine, arrays, wanted), engine

    def _observe(self, labels: tuple[str, str], computed: _Computed, queue_s: float) -> None:
        self._metrics.inference_requests.labels(*labels, "ok").inc()
        self._metrics.inference_batch_size.labels(*labels).observe(computed.batch_size)
        stages = {
            "queue": queue_s,
            "input": computed.times.input_s,
            "compute": computed.times.compute_s,
            "output": computed.times.output_s,
        }
        for stage, seconds in stages.items():
            self._metrics.inference_stage_seconds.labels(*labels, stage).observe(seconds)

    def _count(
        self, version: VersionRecord, computed: _Computed, queue_s: float, total_s: float
    ) -> None:
        statistics = self._metrics.statistics
        label = metric_label(current_tenant(), version.model_id)
        key = (label, version.version, computed.batch_size)
        statistics.executed(*key, computed.times)
        statistics.succeeded(*key, queue_s=queue_s, times=computed.times, total_s=total_s)


def _compute(
    engine: Engine,
    arrays: Mapping[str, NDArray[np.generic]],
    wanted: Sequence[str],
    *,
    class_counts: Mapping[str, int],
    most_answer_bytes: int,
) -> _Computed:
    started_s = time.perf_counter()
    check_finite(arrays)
    checked_s = time.perf_counter()
    results = engine.run(arrays, check_finite=False)
    computed_s = time.perf_counter()
    answer_bytes = sum(results[name].nbytes for name in wanted)
    if answer_bytes > most_answer_bytes:
        raise TooLargeError(
            f"the outputs have {answer_bytes} bytes, an answer holds at most {most_answer_bytes}; "
            "send fewer samples at a time, or ask for fewer outputs",
            reason="ANSWER_TOO_LARGE",
            found=answer_bytes,
            most=most_answer_bytes,
        )
    outputs = tuple(
        greatest_values(name, results[name], class_counts[name])
        if name in class_counts
        else raw_tensor(name, results[name])
        for name in wanted
    )
    first = next(iter(arrays.values()))
    return _Computed(
        outputs=outputs,
        batch_size=first.shape[0] if first.ndim else 1,
        started_s=started_s,
        times=StageTimes(
            input_s=checked_s - started_s,
            compute_s=computed_s - checked_s,
            output_s=time.perf_counter() - computed_s,
        ),
    )


def _check_outputs(wanted: Sequence[str], version: VersionRecord) -> None:
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
