"""The reports of jobs."""

from __future__ import annotations

from smidgen.layer_report import LayerRange, LayerReport
from smidgen.measured import LatencyReport, LayerLatency, LayerSensitivity, SensitivityReport
from smidgen.qat.curve import EvaluationPoint, TrainingCurve
from smidgen.v1 import optimization_service_pb2
from smidgen.v1 import report_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.calibrations import (
    METHOD_ENUMS,
    MOST_HISTOGRAMS,
    histogram_to_message,
)
from smidgen_service.converters.jobs import KINDS, STAGES, train_result_to_message
from smidgen_service.converters.reports import (
    EVALUATIONS,
    gate_to_message,
    node_to_message,
    parity_to_message,
    search_to_message,
)
from smidgen_service.converters.scalars import timestamp
from smidgen_service.handlers.reports import JobReport, TrainingPart
from smidgen_service.store.records import CalibrationRecord


def job_report_to_message(report: JobReport) -> pb.Report:
    """Returns a report as a message."""
    job, conversion, training = report.job, report.conversion, report.training
    message = pb.Report(
        name=names.job_name(job.id),
        kind=KINDS[job.kind],
        model=names.model_name(job.model_id),
        end_time=timestamp(job.end_time) if job.end_time is not None else None,
        calibration=None if report.calibration is None else _calibration(report.calibration),
        training=None if training is None else _training(training),
    )
    if conversion is not None:
        found = conversion.report
        has_histograms = len(report.layers) <= MOST_HISTOGRAMS
        message.MergeFrom(
            pb.Report(
                model_version=names.version_name(job.model_id, conversion.version),
                sha256=conversion.sha256,
                float_bytes=found.float_bytes,
                artifact_bytes=conversion.size_bytes,
                float_accuracy=found.float_accuracy,
                quantized_accuracy=found.quantized_accuracy,
                parity=None if found.parity is None else parity_to_message(found.parity),
                layers=[_layer(layer, has_histograms) for layer in report.layers],
                sensitivity=None if found.sensitivity is None else _ranking(found.sensitivity),
                latency=None if found.latency is None else _times(found.latency),
                gate=None if found.gate is None else gate_to_message(found.gate),
                search=None if found.search is None else search_to_message(found.search),
                evaluation=EVALUATIONS[found.evaluation],
                evaluation_dataset=""
                if job.evaluation_dataset_id is None
                else names.dataset_name(job.evaluation_dataset_id),
            )
        )
    return message


def _layer(layer: LayerReport, has_histograms: bool) -> pb.ReportLayer:
    sensitivity, latency = layer.sensitivity, layer.latency
    found = layer.range
    return pb.ReportLayer(
        node=node_to_message(layer.node),
        range=None if found is None else _range(layer.node.activation, found, has_histograms),
        sensitivity=None if sensitivity is None else _sensitivity(sensitivity),
        latency=None if latency is None else _latency(latency),
    )


def _range(
    activation: str, found: LayerRange, has_histograms: bool
) -> optimization_service_pb2.TensorRange:
    histogram = found.histogram if has_histograms else None
    return optimization_service_pb2.TensorRange(
        node=activation,
        min=found.low,
        max=found.high,
        scale=found.scale,
        zero_point=found.zero_point,
        clipped_share=found.clipped_share,
        histogram=None if histogram is None else histogram_to_message(histogram),
    )


def _sensitivity(layer: LayerSensitivity) -> pb.LayerSensitivity:
    return pb.LayerSensitivity(output_sqnr_db=layer.output_sqnr_db, output_kl=layer.output_kl)


def _latency(layer: LayerLatency) -> pb.LayerLatency:
    return pb.LayerLatency(
        quantized_us=layer.quantized_us, float_us=layer.float_us, covers=layer.covers
    )


def _ranking(report: SensitivityReport) -> pb.SensitivitySummary:
    return pb.SensitivitySummary(
        measured_count=len(report.layers),
        layer_count=report.layer_count,
        sample_count=report.sample_count,
        seconds=report.seconds,
    )


def _times(report: LatencyReport) -> pb.LatencySummary:
    return pb.LatencySummary(
        quantized_us=report.quantized_us,
        float_us=report.float_us,
        conversions_us=report.conversions_us,
        batch=report.batch,
        rounds=report.rounds,
        threads=report.threads,
        isa=report.isa,
        cpu=report.cpu,
    )


def _calibration(calibration: CalibrationRecord) -> pb.ReportCalibration:
    profile = calibration.profile
    return pb.ReportCalibration(
        name=names.calibration_name(calibration.id),
        method=METHOD_ENUMS[profile.method],
        sample_count=profile.sample_count,
        batch_count=profile.batch_count,
        warnings=profile.warnings,
    )


def _training(training: TrainingPart) -> pb.TrainingReport:
    return pb.TrainingReport(
        job=names.job_name(training.job_id),
        result=train_result_to_message(training.result),
        steps=_steps(training.curve),
        evaluations=[_evaluation(point) for point in training.curve.evaluations],
    )


def _steps(curve: TrainingCurve) -> list[pb.TrainingStep]:
    return [
        pb.TrainingStep(
            step=int(row[0]),
            task_loss=row[1],
            quantization_loss=row[2],
            feature_loss=row[3],
            loss_weight=row[4],
            learning_rate=row[5],
        )
        for row in curve.steps.tolist()
    ]


def _evaluation(point: EvaluationPoint) -> pb.TrainingEvaluation:
    return pb.TrainingEvaluation(
        step=point.step,
        epoch=point.epoch,
        stage=STAGES[point.stage],
        accuracy=point.accuracy,
        agreement=point.agreement,
        task_loss=point.task_loss,
        quantization_loss=point.quantization_loss,
    )
