"""Inference: resolve the version, wait for a place, check, compute."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from smidgen.engine import Engine
from smidgen.errors import InvalidTensorError, SmidgenError
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
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.batching import Batcher
from smidgen_service.handlers.brief import BriefComputations
from smidgen_service.handlers.computation import (
    Arrays,
    Computed,
    Wanted,
    samples_of,
    shapes_of,
)
from smidgen_service.handlers.engines import EngineCache
from smidgen_service.handlers.images import ImageInputs, RawImages
from smidgen_service.handlers.joining import Asked, Run
from smidgen_service.handlers.queue import Waiting
from smidgen_service.handlers.run_times import RunTimes
from smidgen_service.handlers.sampling import Sampler
from smidgen_service.handlers.tensors import RawTensor
from smidgen_service.handlers.versions import Served, VersionResolver
from smidgen_service.names import VersionChoice
from smidgen_service.quotas import Quotas
from smidgen_service.rejections import Rejections

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

    def with_values(self, data: bytes | memoryview) -> InferenceRequest:
        """Returns the same request of one input, or of pixels, with other values."""
        inputs, images = self.inputs, self.images
        if images is None:
            inputs = (inputs[0].with_values(data),)
        else:
            images = images.with_pixels(data)
        return InferenceRequest(
            self.model_id, self.version, inputs, self.output_names, images, self.class_counts
        )


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
        answers: Answers,
        *,
        run_times: RunTimes,
        quotas: Quotas,
        rejections: Rejections,
        images: ImageInputs,
        most_answer_bytes: int,
        sampler: Sampler | None = None,
    ) -> None:
        self._versions = versions
        self._engines = engines
        self._admission = admission
        self._answers = answers
        self._run_times = run_times
        self._quotas = quotas
        self._rejections = rejections
        self._brief = BriefComputations(engines, admission, run_times, quotas)
        self._batcher = Batcher(admission, answers)
        self._images = images
        self._most_answer_bytes = most_answer_bytes
        self._sampler = sampler

    async def infer(
        self, request: InferenceRequest, *, deadline_s: float | None
    ) -> InferenceAnswer:
        """Runs one request.

        Args:
            request: The request.
            deadline_s: Seconds left to the caller; None for no limit.
        """
        arrived_s = time.perf_counter()
        served = self._versions.known(request.model_id, request.version)
        if served is None:
            served = await self._versions.resolve(request.model_id, request.version)
        try:
            computed, arrays = await self._run(request, served, deadline_s)
        except BaseException as error:
            served.series.failed(_outcome(error), time.perf_counter() - arrived_s)
            self._rejections.of_inference(error)
            raise
        times = computed.times
        queue_s = computed.started_s - arrived_s
        total_s = time.perf_counter() - arrived_s
        served.series.succeeded(computed.samples, queue_s, times, total_s)
        if arrived_s >= served.sampling.due_s:
            self._offer(request, served, arrays, computed)
        return InferenceAnswer(
            served.name, computed.outputs, computed.isa, queue_s, times.compute_s
        )

    def _offer(
        self,
        request: InferenceRequest,
        served: Served,
        arrays: Arrays | None,
        computed: Computed,
    ) -> None:
        """Lets a request be looked at whose version is due."""
        assert self._sampler is not None  # without it, no version ever is
        if arrays is None:
            arrays = served.layouts.arrays(request.inputs)
        self._sampler.offer(served.sampling, served.record, arrays, computed)

    async def _run(
        self, request: InferenceRequest, served: Served, deadline_s: float | None
    ) -> tuple[Computed, Arrays | None]:
        """Returns what was computed, and of what if arrays were made of it."""
        if request.output_names:
            _check_outputs(request.output_names, served.output_names)
        if _is_plain(request, served):
            computed = self._brief.of_bytes(
                request.inputs[0], served, deadline_s, self._most_answer_bytes
            )
            if computed is not None:
                return computed, None
        # Names, types and lengths are looked at before the request may take a place.
        arrays: Arrays = {}
        if request.images is None:
            arrays = served.layouts.arrays(request.inputs)
        wanted = Wanted(
            request.output_names or served.output_names,
            request.class_counts,
            self._most_answer_bytes,
        )
        computed = self._brief.of_arrays(arrays, served, wanted, deadline_s) if arrays else None
        if computed is not None:
            return computed, arrays
        with self._quotas.inference(), self._engines.expecting(served.record.sha256):
            return await self._compute_in_turn(request, served, arrays, wanted, deadline_s)

    async def _compute_in_turn(
        self,
        request: InferenceRequest,
        served: Served,
        arrays: Arrays,
        wanted: Wanted,
        deadline_s: float | None,
    ) -> tuple[Computed, Arrays]:
        sha256 = served.record.sha256
        samples = samples_of(arrays) if request.images is None else request.images.count
        estimate_s = self._run_times.estimate_s(sha256, samples)
        is_joined = served.limits is not None and _are_one_batch(arrays)
        if request.images is None and not is_joined:
            place = self._admission.place(deadline_s, estimate_s)
            with served.series.pending() as pending:
                async with place, self._engines.using(sha256) as engine:
                    pending.leave()
                    return await self._compute(engine, served, arrays, wanted), arrays
        with (
            served.series.pending() as pending,
            self._admission.waiting(deadline_s, estimate_s) as waiting,
        ):
            waiting.on_leaving(pending.leave)
            async with self._engines.using(sha256) as engine:
                # Images are made while others compute.
                arrays = await self._arrays(request, served, engine, arrays)
                if is_joined:
                    return await self._compute_joined(served, arrays, wanted, waiting), arrays
                async with self._admission.own_place(waiting):
                    return await self._compute(engine, served, arrays, wanted), arrays

    async def _compute(
        self, engine: Engine, served: Served, arrays: Arrays, wanted: Wanted
    ) -> Computed:
        at_once = self._brief.in_place(engine, served, arrays, wanted)
        if at_once is not None:
            return at_once
        computed, held_s = await self._answers.of(engine, arrays, wanted)
        self._run_times.record_held(served.record.sha256, shapes_of(arrays), held_s)
        self._count_run(served, Run(computed.samples, computed.times))
        return computed

    async def _compute_joined(
        self, served: Served, arrays: Arrays, wanted: Wanted, waiting: Waiting
    ) -> Computed:
        assert served.limits is not None
        sha256 = served.record.sha256
        return await self._batcher.run(
            (sha256, served.label, served.record.version),
            partial(self._engines.using, sha256),
            served.limits,
            Asked(arrays, wanted),
            waiting=waiting,
            record=partial(self._count_run, served),
        )

    async def _arrays(
        self, request: InferenceRequest, served: Served, engine: Engine, given: Arrays
    ) -> Arrays:
        if request.images is None:
            return given
        return await self._images.arrays(
            request.images, engine.preprocessing, served.record.inputs, served.name
        )

    def _count_run(self, served: Served, run: Run) -> None:
        self._run_times.record(served.record.sha256, run.samples, run.times.total_s)
        served.series.executed(run.samples, run.times)


def _is_plain(request: InferenceRequest, served: Served) -> bool:
    """Tells whether a request is one tensor, all outputs are wanted, and all of their values."""
    if len(request.inputs) != 1 or request.images is not None or request.class_counts:
        return False
    return not request.output_names or request.output_names == served.output_names


def _are_one_batch(arrays: Arrays) -> bool:
    """Tells whether all inputs have as many samples; images are one input, made later."""
    return len({array.shape[0] for array in arrays.values()}) <= 1


def _check_outputs(wanted: Sequence[str], known: Sequence[str]) -> None:
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
