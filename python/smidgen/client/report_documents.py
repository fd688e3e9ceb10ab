"""Gathers what the page of a report shows from the resources that a server keeps."""

from __future__ import annotations

from collections.abc import Iterable

from smidgen.client.reports import decode_report
from smidgen.html_report.document import ActivationView, CurvePoint, ReportDocument
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb


def report_document(
    version: models_pb.ModelVersion,
    calibration: optimization_pb.Calibration | None,
    events: Iterable[jobs_pb.JobEvent],
) -> ReportDocument:
    """Makes the report of a converted version.

    Args:
        version: The version, with its report.
        calibration: The calibration behind it; None if it is gone.
        events: Those of the job that trained it; empty if it was not trained.
    """
    ranges = () if calibration is None else calibration.ranges
    return ReportDocument(
        title=version.name,
        report=decode_report(version.report),
        facts=_facts(version),
        activations=tuple(map(_activation, ranges)),
        calibration="" if calibration is None else _calibration_line(calibration),
        warnings=() if calibration is None else tuple(calibration.warnings),
        curve=tuple(_curve(events)),
    )


def _facts(version: models_pb.ModelVersion) -> tuple[tuple[str, str], ...]:
    created = version.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC")
    facts = (
        ("Version", version.name),
        ("SHA-256", version.sha256),
        ("Made by", version.job),
        ("Calibration", version.calibration),
        ("Training", version.train_job),
        ("Created", created),
    )
    return tuple((name, value) for name, value in facts if value)


def _calibration_line(calibration: optimization_pb.Calibration) -> str:
    method = optimization_pb.ObserverMethod.Name(calibration.method)
    return (
        f"{calibration.sample_count} samples in {calibration.batch_count} batches, method "
        f"{method.removeprefix('OBSERVER_METHOD_').lower().replace('_', ' ')}. What lies outside "
        "a range is clipped to its end."
    )


def _activation(found: optimization_pb.TensorRange) -> ActivationView:
    return ActivationView(
        node=found.node,
        low=found.min,
        high=found.max,
        scale=found.scale,
        zero_point=found.zero_point,
    )


def _curve(events: Iterable[jobs_pb.JobEvent]) -> Iterable[CurvePoint]:
    for event in events:
        point = CurvePoint(
            step=event.step,
            stage=jobs_pb.JobStage.Name(event.stage).removeprefix("JOB_STAGE_").lower(),
            task_loss=event.task_loss if event.HasField("task_loss") else None,
            quantization_loss=(
                event.quantization_loss if event.HasField("quantization_loss") else None
            ),
            accuracy=event.accuracy if event.HasField("accuracy") else None,
        )
        if (point.task_loss, point.quantization_loss, point.accuracy) != (None, None, None):
            yield point
