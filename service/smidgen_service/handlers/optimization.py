"""TrainQAT and Convert: everything that can be checked is checked before a job is queued."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

from smidgen.config import PrecisionConfig, QATConfig
from smidgen.config.documents import to_document
from smidgen.measurable import check_measurable
from smidgen.report import QuantizationReport
from smidgen.training_data import check_course, check_data, check_samples
from smidgen_service.clock import Clock
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.checking import checking
from smidgen_service.handlers.preconditions import (
    CheckedInputs,
    ConvertRequest,
    TrainRequest,
    check_convert,
    check_train,
    recheck,
)
from smidgen_service.jobs.announcements import Announcements
from smidgen_service.jobs.calls import CallWorkers
from smidgen_service.jobs.data_fields import dataset_of
from smidgen_service.jobs.runner import JobRunner
from smidgen_service.quotas import Quotas
from smidgen_service.store import jobs
from smidgen_service.store.records import (
    DatasetRecord,
    JobKind,
    JobRecord,
    ModelRecord,
)
from smidgen_service.store.store import Store
from smidgen_service.threads import Threads

MOST_WAIT_S = 600.0


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The answer to validate_only: what a job would do."""

    kind: JobKind
    model_id: str
    report: QuantizationReport


class OptimizationHandler:
    """What TrainQAT and Convert do."""

    def __init__(
        self,
        store: Store,
        runner: JobRunner,
        workers: CallWorkers,
        announcements: Announcements,
        threads: Threads,
        *,
        quotas: Quotas,
        clock: Clock,
    ) -> None:
        self._quotas = quotas
        self._database = store.database
        self._blobs = store.blobs
        self._runner = runner
        self._workers = workers
        self._announcements = announcements
        self._threads = threads
        self._clock = clock

    async def train(self, request: TrainRequest) -> JobRecord | JobPlan:
        """Queues a training job, or returns its plan.

        Raises:
            NotFoundError: model, calibration or dataset does not exist.
            InvalidDatasetError: a dataset does not fit the model.
            InvalidConfigError: a pattern of layers fits none of the model, or a warm-up takes all
            steps.
            FailedPreconditionError: the calibration is another model's.
        """
        earlier = await self._runner.earlier(request.key)
        if earlier is not None:
            return earlier
        checked = await self._database.read(lambda tx: check_train(tx, request))
        if request.augmentation is not None and request.preprocessing is None:
            raise InvalidArgumentError(
                "augmentation is set without preprocessing, which says what the images are",
                field="augmentation",
                reason="PREPROCESSING_MISSING",
            )
        await self._check_data(checked, request.config)
        _check_course(checked, request.config)
        if request.validate_only or request.names_layers:
            plan = await self._plan(JobKind.TRAIN_QAT, checked, to_document(request.config))
            if request.validate_only:
                return plan

        def check(tx: sqlite3.Connection) -> None:
            recheck(check_train(tx, request), checked)
            self._quotas.check_jobs(tx)

        job = _training(request, now=self._clock())
        return await self._runner.submit(job, request.key, check)

    async def convert(self, request: ConvertRequest) -> JobRecord | JobPlan:
        """Queues a conversion and waits for it as long as asked, or returns its plan.

        Raises:
            NotFoundError: model, source or dataset does not exist.
            InvalidConfigError: what is asked for cannot be measured, or a pattern of layers fits
                none.
            FailedPreconditionError: the source is another model's, or has not succeeded.
        """
        if not 0 <= request.wait_s <= MOST_WAIT_S:
            raise InvalidArgumentError(
                f"wait is {request.wait_s:g} s, expected 0 to {MOST_WAIT_S:g} s",
                field="wait",
                reason="INVALID_WAIT",
            )
        earlier = await self._runner.earlier(request.key)
        if earlier is not None:
            return await self._wait(earlier, request.wait_s)
        checked = await self._database.read(lambda tx: check_convert(tx, request))
        check_measurable(
            request.config,
            checked.model.outputs,
            has_evaluation=checked.evaluation is not None,
        )
        await self._check_data(replace(checked, dataset=None), None)
        if checked.dataset is not None:
            await self._check_samples(checked, checked.dataset)
        if request.validate_only or request.names_layers:
            plan = await self._plan(JobKind.CONVERT, checked)
            if request.validate_only:
                return plan

        def check(tx: sqlite3.Connection) -> None:
            recheck(check_convert(tx, request), checked)
            self._quotas.check_jobs(tx)

        job = _conversion(request, checked, now=self._clock())
        stored = await self._runner.submit(job, request.key, check)
        return await self._wait(stored, request.wait_s)

    async def _wait(self, job: JobRecord, wait_s: float) -> JobRecord:
        """Returns the job when it ends, or as it is when the time is over."""

        async def read() -> JobRecord:
            return await self._database.read(lambda tx: jobs.get(tx, job.id))

        if wait_s == 0:
            return await read()
        with self._announcements.subscribe(job.id) as news:
            try:
                async with asyncio.timeout(wait_s):
                    while not (await read()).state.is_at_rest:
                        await news.wait()
            except TimeoutError:
                pass
        return await read()

    async def _check_data(self, checked: CheckedInputs, config: QATConfig | None) -> None:
        for dataset in (checked.dataset, checked.evaluation):
            if dataset is not None:
                await self._check_dataset(checked, dataset, config)

    async def _check_dataset(
        self, checked: CheckedInputs, dataset: DatasetRecord, config: QATConfig | None
    ) -> None:
        """Checks a dataset for training, or without a config for evaluation alone."""
        inputs, outputs = checked.model.inputs, checked.model.outputs
        async with self._checking(checked, dataset) as fields:
            if _needs_worker(dataset):
                plain = None if config is None else to_document(config)
                await self._workers.check_data(fields, inputs, outputs, plain)
            else:
                await self._threads.run(_check_arrays, fields, checked.model, config)

    async def _check_samples(self, checked: CheckedInputs, dataset: DatasetRecord) -> None:
        """Checks that a dataset has samples for a model; what its labels are is no matter."""
        inputs = checked.model.inputs
        async with self._checking(checked, dataset) as fields:
            if _needs_worker(dataset):
                await self._workers.check_samples(fields, inputs)
            else:
                await self._threads.run(lambda: check_samples(dataset_of(fields), inputs))

    def _checking(
        self, checked: CheckedInputs, dataset: DatasetRecord
    ) -> AbstractAsyncContextManager[dict[str, Any]]:
        return checking(self._blobs, self._threads, dataset, checked.preprocessing)

    async def _plan(
        self,
        kind: JobKind,
        checked: CheckedInputs,
        config: Mapping[str, Any] | None = None,
    ) -> JobPlan:
        """Reads the model in a worker, and so finds what does not fit it before there is a job."""
        with self._blobs.pinned(checked.model.sha256):
            path = await self._threads.run(self._blobs.verify, checked.model.sha256)
            calibration = checked.calibration
            profile = None if calibration is None else calibration.profile.to_json()
            precision = _plain_precision(checked.precision)
            report = await self._workers.plan(path, profile, precision, config)
        return JobPlan(kind, checked.model.id, QuantizationReport.from_dict(report))


def _training(request: TrainRequest, *, now: int) -> JobRecord:
    return JobRecord(
        id=_new_id(),
        kind=JobKind.TRAIN_QAT,
        model_id=request.model_id,
        calibration_id=request.calibration_id,
        create_time=now,
        dataset_id=request.dataset_id,
        evaluation_dataset_id=request.evaluation_dataset_id,
        config=to_document(request.config),
        precision=_plain_precision(request.precision),
        preprocessing=request.preprocessing,
        augmentation=request.augmentation,
    )


def _conversion(request: ConvertRequest, checked: CheckedInputs, *, now: int) -> JobRecord:
    return JobRecord(
        id=_new_id(),
        kind=JobKind.CONVERT,
        model_id=request.model_id,
        calibration_id=None if checked.calibration is None else checked.calibration.id,
        create_time=now,
        dataset_id=request.calibration_dataset_id,
        evaluation_dataset_id=None if checked.evaluation is None else checked.evaluation.id,
        held_out=checked.held_out,
        train_job_id=request.train_job_id,
        precision=_plain_precision(request.precision),
        config=to_document(request.config),
        preprocessing=checked.preprocessing,
    )


def _check_course(checked: CheckedInputs, config: QATConfig) -> None:
    assert checked.dataset is not None  # check_train found it
    check_course(
        config,
        checked.model.inputs,
        checked.dataset.sample_count,
        has_evaluation=checked.evaluation is not None,
    )


def _needs_worker(dataset: DatasetRecord) -> bool:
    """Tells whether a check would hold up the server, or take many of its descriptors."""
    return dataset.format.holds_images or len(dataset.files) > 1


def _check_arrays(fields: dict[str, Any], model: ModelRecord, config: QATConfig | None) -> None:
    check_data(dataset_of(fields), model.inputs, model.outputs, config)


def _plain_precision(precision: PrecisionConfig | None) -> Mapping[str, Any] | None:
    return None if precision is None else precision.to_dict()


def _new_id() -> str:
    return f"j-{uuid.uuid4().hex[:20]}"
