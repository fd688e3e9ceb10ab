"""The work of one job: what its worker gets, what comes back, and how that is stored."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from smidgen.artifact import load_artifact, program_specs
from smidgen.config import Augmentation
from smidgen.data.split import Split
from smidgen.errors import ArtifactError
from smidgen.progress import Stage
from smidgen.qat.curve import TrainingCurve
from smidgen.report import QuantizationReport
from smidgen_service.clock import Clock
from smidgen_service.errors import FailedPreconditionError
from smidgen_service.jobs.checkpoints import CHECKPOINT_NAME
from smidgen_service.jobs.data_fields import dataset_fields
from smidgen_service.jobs.gauges import JobGauges
from smidgen_service.jobs.process import WorkerProcess
from smidgen_service.jobs.running import Commit, RunningJob
from smidgen_service.store import calibrations, curves, datasets, jobs, models
from smidgen_service.store.blobs import file_sha256
from smidgen_service.store.records import (
    CalibrationRecord,
    ConvertResult,
    DatasetRecord,
    JobKind,
    JobRecord,
    ModelRecord,
    TrainResult,
    VersionRecord,
)
from smidgen_service.store.store import Store
from smidgen_service.threads import Threads

_TRAINED = "trained.safetensors"
_ARTIFACT = "model.smidgen"


def checkpoint_bytes(root: Path, job_id: str) -> int:
    """Returns the size of a job's checkpoint, 0 without one; `root` has the jobs' directories."""
    try:
        return (root / job_id / CHECKPOINT_NAME).stat().st_size
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class JobInputs:
    """The rows that a job works with.

    Attributes:
        profile: The calibration's as bytes: with its statistics, where these were kept, for a
            conversion, which passes their gist on.
    """

    model: ModelRecord
    calibration: CalibrationRecord | None
    profile: bytes | None
    dataset: DatasetRecord | None
    evaluation: DatasetRecord | None
    trained_sha256: str | None


class JobWork:
    """Makes running jobs of queued ones."""

    def __init__(
        self,
        store: Store,
        threads: Threads,
        gauges: JobGauges,
        *,
        environment: Mapping[str, str],
        worker_threads: int,
        checkpoint_interval_s: float,
        silence_s: float,
        clock: Clock,
    ) -> None:
        self._database = store.database
        self._blobs = store.blobs
        self._threads = threads
        self._gauges = gauges
        self._environment = environment
        self._worker_threads = worker_threads
        self._checkpoint_interval_s = checkpoint_interval_s
        self._silence_s = silence_s
        self._clock = clock

    @asynccontextmanager
    async def start(self, job: JobRecord, scratch: Path) -> AsyncIterator[RunningJob]:
        """Yields the job with its worker at it; the worker ends with the block.

        Commit what `follow` returns within the block: until its end the new files are kept.
        """
        inputs = await self._database.read(lambda tx: _inputs(tx, job))
        fields = await self._threads.run(self._prepare, job, inputs, scratch)
        process = await WorkerProcess.start(scratch, self._environment)
        try:
            with ExitStack() as pins:
                await process.send(_TASKS[job.kind], fields)
                finish = (
                    self._finish_training
                    if job.kind is JobKind.TRAIN_QAT
                    else self._finish_conversion
                )
                yield RunningJob(
                    job,
                    process,
                    self._gauges,
                    scratch=scratch,
                    silence_s=self._silence_s,
                    finish=partial(finish, job, scratch, pins),
                )
        finally:
            await process.close()

    def _prepare(self, job: JobRecord, inputs: JobInputs, scratch: Path) -> dict[str, Any]:
        """Verifies all stored bytes that the worker will read, and returns its task."""
        profile = scratch / "profile"
        if inputs.profile is not None:
            profile.write_bytes(inputs.profile)
        trained = inputs.trained_sha256
        return {
            "threads": self._worker_threads,
            "alive_interval_s": self._silence_s / 3,
            "model": str(self._blobs.verify(inputs.model.sha256)),
            "profile": None if inputs.profile is None else str(profile),
            "dataset": self._dataset_fields(inputs.dataset, job, job.augmentation),
            "evaluation": self._dataset_fields(inputs.evaluation, job, held_out=job.held_out),
            "preprocessing": None if job.preprocessing is None else job.preprocessing.to_document(),
            "config": dict(job.config) if job.config is not None else None,
            "precision": dict(job.precision) if job.precision is not None else None,
            "trained": str(scratch / _TRAINED)
            if job.kind is JobKind.TRAIN_QAT
            else (str(self._blobs.verify(trained)) if trained is not None else None),
            "checkpoint": str(scratch / CHECKPOINT_NAME),
            "checkpoint_interval_s": self._checkpoint_interval_s,
            "artifact": str(scratch / _ARTIFACT),
            "lineage": _lineage(inputs),
        }

    def _dataset_fields(
        self,
        dataset: DatasetRecord | None,
        job: JobRecord,
        augmentation: Augmentation | None = None,
        held_out: Split | None = None,
    ) -> dict[str, Any] | None:
        if dataset is None:
            return None
        return dataset_fields(
            self._blobs.verify, dataset, job.preprocessing, augmentation, held_out
        )

    async def _finish_training(
        self, job: JobRecord, scratch: Path, pins: ExitStack, fields: Mapping[str, Any]
    ) -> Commit:
        """Stores the trained weights and returns the transaction that ends the job."""
        path = scratch / _TRAINED
        sha256 = await self._threads.run(file_sha256, path)
        size_bytes = path.stat().st_size
        pins.enter_context(self._blobs.pinned(sha256))
        await self._threads.run(self._blobs.adopt, path, sha256)
        result = TrainResult(
            **{**fields["summary"], "best_stage": Stage(fields["summary"]["best_stage"])}
        )
        curve = TrainingCurve.from_document(fields["curve"])
        now = self._clock()

        def commit(tx: sqlite3.Connection) -> None:
            curves.insert(tx, job.id, curve)
            jobs.succeed(tx, job.id, result, now=now, result_sha256=sha256, result_bytes=size_bytes)

        return commit

    async def _finish_conversion(
        self, job: JobRecord, scratch: Path, pins: ExitStack, fields: Mapping[str, Any]
    ) -> Commit:
        """Stores the artifact and returns the transaction that adds the version."""
        path = scratch / _ARTIFACT
        sha256 = await self._threads.run(file_sha256, path)
        if sha256 != fields["sha256"]:
            raise ArtifactError(
                f"the artifact file has digest {sha256}, its worker announced {fields['sha256']}",
                reason="ARTIFACT_DIGEST_MISMATCH",
            )
        inputs, outputs = program_specs(await self._threads.run(load_artifact, path))
        size_bytes = path.stat().st_size
        pins.enter_context(self._blobs.pinned(sha256))
        await self._threads.run(self._blobs.adopt, path, sha256)
        report = QuantizationReport.from_dict(fields["report"])
        now = self._clock()

        def commit(tx: sqlite3.Connection) -> None:
            number = models.next_version(tx, job.model_id)
            version = VersionRecord(
                model_id=job.model_id,
                version=number,
                sha256=sha256,
                size_bytes=size_bytes,
                inputs=inputs,
                outputs=outputs,
                create_time=now,
                job_id=job.id,
                calibration_id=job.calibration_id,
                train_job_id=job.train_job_id,
                report=report,
            )
            models.insert_version(tx, version)
            result = ConvertResult(number, sha256, size_bytes, report)
            jobs.succeed(tx, job.id, result, now=now)

        return commit


_TASKS = {JobKind.TRAIN_QAT: "train", JobKind.CONVERT: "convert"}


def _inputs(tx: sqlite3.Connection, job: JobRecord) -> JobInputs:
    trained_sha256 = None
    if job.train_job_id is not None:
        trained_sha256 = jobs.get(tx, job.train_job_id).result_sha256
        if trained_sha256 is None:
            raise FailedPreconditionError(
                f"the result of jobs/{job.train_job_id} is gone; train again",
                reason="TRAIN_RESULT_GONE",
            )
    calibration = None if job.calibration_id is None else calibrations.get(tx, job.calibration_id)
    return JobInputs(
        model=models.get(tx, job.model_id),
        calibration=calibration,
        profile=None if calibration is None else _profile(tx, job, calibration),
        dataset=datasets.get(tx, job.dataset_id) if job.dataset_id is not None else None,
        evaluation=datasets.get(tx, job.evaluation_dataset_id)
        if job.evaluation_dataset_id is not None
        else None,
        trained_sha256=trained_sha256,
    )


def _profile(tx: sqlite3.Connection, job: JobRecord, calibration: CalibrationRecord) -> bytes:
    whole = None
    if job.kind is JobKind.CONVERT:
        whole = calibrations.whole_profile(tx, calibration.id)
    return calibration.profile.to_json() if whole is None else whole


def _lineage(inputs: JobInputs) -> dict[str, str]:
    """Names what an artifact came from by digests, so that equal inputs give equal bytes."""
    lineage = {"model_sha256": inputs.model.sha256}
    if inputs.calibration is not None:
        lineage["calibration_sha256"] = inputs.calibration.sha256
    if inputs.dataset is not None:
        lineage["dataset_sha256"] = inputs.dataset.sha256
    if inputs.trained_sha256 is not None:
        lineage["trained_sha256"] = inputs.trained_sha256
    return lineage
