"""What a job brought, gathered from the rows that know of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from smidgen.config import ConversionConfig
from smidgen.config.documents import from_document
from smidgen.histogram import Histogram
from smidgen.measured import LayerLatency, LayerSensitivity
from smidgen.profile import CalibrationProfile
from smidgen.profile_file import decode_profile
from smidgen.qat.curve import EMPTY_CURVE, TrainingCurve
from smidgen.ranges.clipping import clipped_share
from smidgen.report import NodeReport, QuantizationReport
from smidgen.tensor_spec import TensorSpec
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
class LayerRange:
    """The integers of an activation, and the values that calibration saw there.

    Attributes:
        low: Least real value that is not clipped.
        high: Largest.
        scale: Step between two integers.
        zero_point: The integer of 0.
        clipped_share: Share of the values outside, 0 to 1; None if not known.
        histogram: How often values occur; None if not known or not wanted.
    """

    low: float
    high: float
    scale: float
    zero_point: int
    clipped_share: float | None = None
    histogram: Histogram | None = None


@dataclass(frozen=True, slots=True)
class LayerReport:
    """A node of the float model, or an input, with what is known of it."""

    node: NodeReport
    range: LayerRange | None = None
    sensitivity: LayerSensitivity | None = None
    latency: LayerLatency | None = None


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


def report_layers(
    report: QuantizationReport,
    profile: CalibrationProfile | None,
    inputs: tuple[TensorSpec, ...],
) -> tuple[LayerReport, ...]:
    """Puts together what is known of each layer.

    Args:
        report: Of the conversion.
        profile: The calibration, with its statistics where the report shall have histograms; None
            if it is gone.
        inputs: The model's.
    """
    sensitivity = report.sensitivity.layers if report.sensitivity is not None else ()
    latency = report.latency.layers if report.latency is not None else ()
    by_node = {layer.node: layer for layer in sensitivity}
    times = {layer.node: layer for layer in latency}
    nodes = [*_inputs(profile, inputs), *report.nodes]
    return tuple(
        LayerReport(node, _range(node, profile), by_node.get(node.node), times.get(node.node))
        for node in nodes
    )


def _inputs(profile: CalibrationProfile | None, inputs: tuple[TensorSpec, ...]) -> list[NodeReport]:
    ranges: Mapping[str, object] = {} if profile is None else profile.ranges
    return [
        NodeReport(spec.name, "input", is_quantized=True, activation=spec.name)
        for spec in inputs
        if spec.name in ranges
    ]


def _range(node: NodeReport, profile: CalibrationProfile | None) -> LayerRange | None:
    """Returns the range that the artifact has; training moves it away from the calibration's."""
    name = node.activation or node.node
    found = None if profile is None else profile.ranges.get(name)
    if node.op == "input" and found is not None:
        scale, zero_point = float(found.qparams.scale), int(found.qparams.zero_point)
    elif node.output_scale and (found is not None or profile is None):
        scale, zero_point = node.output_scale, node.output_zero_point
    else:
        return None
    low, high = scale * (0 - zero_point), scale * (255 - zero_point)
    whole = LayerRange(low, high, scale, zero_point)
    if profile is None or found is None:
        return whole
    if (scale, zero_point) == (float(found.qparams.scale), int(found.qparams.zero_point)):
        share = profile.clipped_shares.get(name)
        return replace(
            whole,
            low=found.low,
            high=found.high,
            clipped_share=share,
            histogram=profile.histogram(name),
        )
    statistics = profile.statistics.get(name)
    if statistics is None:
        return whole
    share = clipped_share(statistics, replace(found, low=low, high=high))
    return replace(whole, clipped_share=share, histogram=statistics.histogram)


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
