"""What a job brought, gathered from the rows that know of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from smidgen.config import ConversionConfig
from smidgen.config.documents import from_document
from smidgen.layer_report import LayerReport, report_layers
from smidgen.profile import CalibrationProfile
from smidgen.profile_file import decode_profile
from smidgen.qat.curve import EMPTY_CURVE, TrainingCurve
from smidgen_service import names
from smidgen_service.errors import FailedPreconditionError, NotFoundError
from smidgen_service.store import calibrations, curves, jobs, models
from smidgen_service.store.database import Database
from smidgen_service.store.records import (
    CalibrationRecord,
    ConvertResult,
    JobRecord,
    JobState,
    TrainResult,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """A training and its curve."""

    job_id: str
    result: TrainResult
    curve: TrainingCurve


@dataclass(frozen=True, slots=True)
class JobReport:
    """What a job brought.

    Attributes:
        job: The job; it SUCCEEDED.
        conversion: What it made; None for a training.
        layers: Inputs and nodes in execution order; empty for a training.
        calibration: Where the ranges come from; None if it is gone.
        training: The training, the job's own or that of the weights; None without one.
    """

    job: JobRecord
    conversion: ConvertResult | None
    layers: tuple[LayerReport, ...]
    calibration: CalibrationRecord | None
    training: TrainingPart | None


class ReportHandler:
    """What ReportService does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, job_id: str, *, include_histograms: bool) -> JobReport:
        """Returns the report of a job.

        Raises:
            NotFoundError: there is no such job.
            FailedPreconditionError: it has not ended, or has no result.
        """
        return await self._database.read(
            lambda tx: _report(tx, job_id, include_histograms=include_histograms)
        )


def _report(tx: sqlite3.Connection, job_id: str, *, include_histograms: bool) -> JobReport:
    job = jobs.get(tx, job_id)
    _check_succeeded(job)
    calibration_id = job.calibration_id
    calibration = (
        None if calibration_id is None else _if_there(lambda: calibrations.get(tx, calibration_id))
    )
    conversion = job.result if isinstance(job.result, ConvertResult) else None
    layers: tuple[LayerReport, ...] = ()
    if conversion is not None:
        model = _if_there(lambda: models.get(tx, job.model_id))
        profile = None if calibration is None else _profile(tx, calibration, job)
        layers = report_layers(conversion.report, profile, () if model is None else model.inputs)
        if not include_histograms:
            layers = tuple(map(_without_histogram, layers))
    return JobReport(job, conversion, layers, calibration, _training(tx, job))


def _profile(
    tx: sqlite3.Connection, calibration: CalibrationRecord, job: JobRecord
) -> CalibrationProfile:
    """Returns the calibration with its statistics, where these describe the converted model."""
    config = from_document(ConversionConfig, job.config or {})
    if config.post_training.equalize:  # its activations are the float model's no longer
        return replace(calibration.profile, clipped_shares={})
    whole = calibrations.whole_profile(tx, calibration.id)
    return calibration.profile if whole is None else decode_profile(whole)


def _training(tx: sqlite3.Connection, job: JobRecord) -> TrainingPart | None:
    trained: JobRecord | None = job
    if job.train_job_id is not None:
        train_job_id = job.train_job_id
        trained = _if_there(lambda: jobs.get(tx, train_job_id))
    if trained is None or not isinstance(trained.result, TrainResult):
        return None
    return TrainingPart(trained.id, trained.result, curves.find(tx, trained.id) or EMPTY_CURVE)


def _without_histogram(layer: LayerReport) -> LayerReport:
    if layer.range is None:
        return layer
    return replace(layer, range=replace(layer.range, histogram=None))


def _check_succeeded(job: JobRecord) -> None:
    if job.state is JobState.SUCCEEDED:
        return
    name, state = names.job_name(job.id), job.state.upper()
    if job.state.is_final:
        raise FailedPreconditionError(
            f"{name} ended as {state} and has no result to report on; GetJob says why",
            reason="JOB_WITHOUT_RESULT",
            resource_name=name,
            state=state,
        )
    raise FailedPreconditionError(
        f"{name} is {state}, expected SUCCEEDED; wait until it has ended, or resume it if it is "
        "INTERRUPTED",
        reason="JOB_NOT_FINISHED",
        resource_name=name,
        state=state,
    )


def _if_there(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except NotFoundError:
        return None
