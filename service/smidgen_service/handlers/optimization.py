"""TrainQAT and Convert: everything that can be checked is checked before a job is queued."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from smidgen.config import QATConfig
from smidgen.formats.dataset import read_dataset
from smidgen.report import QuantizationReport
from smidgen.training_data import check_training_data
from smidgen_service import names
from smidgen_service.clock import Clock
from smidgen_service.errors import FailedPreconditionError, InvalidArgumentError
from smidgen_service.handlers.calibration import check_trainable
from smidgen_service.jobs.announcements import Announcements
from smidgen_service.jobs.calls import CallWorkers
from smidgen_service.jobs.runner import JobRunner
from smidgen_service.store import calibrations, datasets, jobs, models
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.records import (
    CalibrationRecord,
    DatasetRecord,
    JobKind,
    JobRecord,
    JobState,
    ModelRecord,
)
from smidgen_service.store.store import Store
from smidgen_service.threads import Threads

MOST_WAIT_S = 600.0


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What TrainQAT is asked."""

    model_id: str
    calibration_id: str
    dataset_id: str
    evaluation_dataset_id: str | None
    config: QATConfig
    key: RequestKey | None
    validate_only: bool


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """What Convert is asked; exactly one of calibration_id and train_job_id is set."""

    model_id: str
    calibration_id: str | None
    train_job_id: str | None
    evaluation_dataset_id: str | None
    wait_s: float
    key: RequestKey | None
    validate_only: bool


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The answer to validate_only: what a job would do."""

    kind: JobKind
    model_id: str
    report: QuantizationReport


@dataclass(frozen=True, slots=True)
class _Checked:
    """The rows that a request named, all of them there and fitting together."""

    model: ModelRecord
    calibration: CalibrationRecord
    dataset: DatasetRecord | None
    evaluation: DatasetRecord | None


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
        clock: Clock,
    ) -> None:
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
            FailedPreconditionError: the calibration is another model's.
        """
        earlier = await self._runner.earlier(request.key)
        if earlier is not None:
            return earlier
        checked = await self._database.read(lambda tx: _check_train(tx, request))
        await self._check_data(checked, request.config)
        if request.validate_only:
            return await self._plan(JobKind.TRAIN_QAT, checked)
        job = JobRecord(
            id=_new_id(),
            kind=JobKind.TRAIN_QAT,
            model_id=request.model_id,
            calibration_id=request.calibration_id,
            create_time=self._clock(),
            dataset_id=request.dataset_id,
            evaluation_dataset_id=request.evaluation_dataset_id,
            config=_plain(request.config),
        )
        return await self._runner.submit(
            job, request.key, lambda tx: _recheck(_check_train(tx, request), checked)
        )

    async def convert(self, request: ConvertRequest) -> JobRecord | JobPlan:
        """Queues a conversion and waits for it as long as asked, or returns its plan.

        Raises:
            NotFoundError: model, source or dataset does not exist.
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
        checked = await self._database.read(lambda tx: _check_convert(tx, request))
        await self._check_data(checked, None)
        if request.validate_only:
            return await self._plan(JobKind.CONVERT, checked)
        job = JobRecord(
            id=_new_id(),
            kind=JobKind.CONVERT,
            model_id=request.model_id,
            calibration_id=checked.calibration.id,
            create_time=self._clock(),
            evaluation_dataset_id=request.evaluation_dataset_id,
            train_job_id=request.train_job_id,
        )
        stored = await self._runner.submit(
            job, request.key, lambda tx: _recheck(_check_convert(tx, request), checked)
        )
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
                    while not (await read()).state.is_final:
                        await news.wait()
            except TimeoutError:
                pass
        return await read()

    async def _check_data(self, checked: _Checked, config: QATConfig | None) -> None:
        for dataset in (checked.dataset, checked.evaluation):
            if dataset is not None:
                with self._blobs.pinned(dataset.sha256):
                    await self._threads.run(self._check_dataset, checked.model, dataset, config)

    def _check_dataset(
        self, model: ModelRecord, dataset: DatasetRecord, config: QATConfig | None
    ) -> None:
        """Checks a dataset for training, or without a config for evaluation alone."""
        loaded = read_dataset(self._blobs.verify(dataset.sha256), dataset.format)
        labels = loaded.labels
        if config is not None:
            check_training_data(model.inputs, model.outputs, loaded, config)
        elif labels is not None and labels.dtype.kind == "i":
            check_training_data(model.inputs, model.outputs, loaded, QATConfig())
        else:
            loaded.inputs_for(model.inputs)

    async def _plan(self, kind: JobKind, checked: _Checked) -> JobPlan:
        with self._blobs.pinned(checked.model.sha256):
            path = await self._threads.run(self._blobs.verify, checked.model.sha256)
            report = await self._workers.plan(path, checked.calibration.profile.to_json())
        return JobPlan(kind, checked.model.id, QuantizationReport.from_dict(report))


def _check_train(tx: sqlite3.Connection, request: TrainRequest) -> _Checked:
    model = models.get(tx, request.model_id)
    check_trainable(model)
    return _Checked(
        model=model,
        calibration=_calibration(tx, model, request.calibration_id),
        dataset=datasets.get(tx, request.dataset_id),
        evaluation=_dataset(tx, request.evaluation_dataset_id),
    )


def _check_convert(tx: sqlite3.Connection, request: ConvertRequest) -> _Checked:
    model = models.get(tx, request.model_id)
    check_trainable(model)
    calibration_id = request.calibration_id
    if request.train_job_id is not None:
        job = _training(tx, model, request.train_job_id)
        calibration_id = job.calibration_id
    assert calibration_id is not None  # the request has one of the two
    return _Checked(
        model=model,
        calibration=_calibration(tx, model, calibration_id),
        dataset=None,
        evaluation=_dataset(tx, request.evaluation_dataset_id),
    )


def _calibration(
    tx: sqlite3.Connection, model: ModelRecord, calibration_id: str
) -> CalibrationRecord:
    calibration = calibrations.get(tx, calibration_id)
    if (calibration.model_id, calibration.profile.model_sha256) != (model.id, model.sha256):
        raise FailedPreconditionError(
            f"{names.calibration_name(calibration_id)} belongs to "
            f"{names.model_name(calibration.model_id)}, not to {names.model_name(model.id)}; "
            "calibrate this model",
            reason="CALIBRATION_OF_OTHER_MODEL",
            resource_name=names.calibration_name(calibration_id),
        )
    return calibration


def _training(tx: sqlite3.Connection, model: ModelRecord, job_id: str) -> JobRecord:
    job, name = jobs.get(tx, job_id), names.job_name(job_id)
    if job.kind is not JobKind.TRAIN_QAT or job.model_id != model.id:
        raise FailedPreconditionError(
            f"{name} is a {job.kind.upper()} job of {names.model_name(job.model_id)}, expected a "
            f"TRAIN_QAT job of {names.model_name(model.id)}",
            reason="TRAIN_JOB_OF_OTHER_MODEL",
            resource_name=name,
        )
    if job.state is not JobState.SUCCEEDED or job.result_sha256 is None:
        raise FailedPreconditionError(
            f"{name} is {job.state.upper()} and has no weights to convert; "
            "wait until it has SUCCEEDED, or train again",
            reason="TRAIN_JOB_NOT_SUCCEEDED",
            resource_name=name,
            state=job.state.upper(),
        )
    return job


def _dataset(tx: sqlite3.Connection, dataset_id: str | None) -> DatasetRecord | None:
    return datasets.get(tx, dataset_id) if dataset_id is not None else None


def _recheck(now: _Checked, before: _Checked) -> None:
    """Refuses a job whose rows were replaced by others of the same name meanwhile."""
    if now != before:
        raise FailedPreconditionError(
            "the model or its data was replaced while the request was checked; send it again",
            reason="INPUTS_REPLACED",
            resource_name=names.model_name(before.model.id),
        )


def _plain(config: QATConfig) -> Mapping[str, str | int | float | None]:
    fields: dict[str, str | int | float | None] = asdict(config)
    return {**fields, "task_loss": config.task_loss.value}


def _new_id() -> str:
    return f"j-{uuid.uuid4().hex[:20]}"
