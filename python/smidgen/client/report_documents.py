"""Turns the report of a job into what its page shows."""

from __future__ import annotations

from collections.abc import Iterable

from smidgen.client.reports import (
    decode_evaluation,
    decode_gate,
    decode_node,
    decode_parity,
    decode_search,
)
from smidgen.html_report.document import (
    ActivationView,
    CurvePoint,
    ReportDocument,
    calibration_line,
)
from smidgen.measured import LatencyReport, LayerLatency, LayerSensitivity, SensitivityReport
from smidgen.report import QuantizationReport
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen.v1 import report_service_pb2 as pb

INPUT = "input"
"""The operator of those layers of a report that are inputs of the model."""


def report_document(report: pb.Report) -> ReportDocument:
    """Makes the document of a conversion's report, or of a training's."""
    has_calibration = report.HasField("calibration")
    layers = [(layer, layer.range) for layer in report.layers if layer.HasField("range")]
    return ReportDocument(
        title=report.model_version or report.name,
        report=_conversion(report) if report.model_version else None,
        facts=_facts(report),
        activations=tuple(_activation(layer, found) for layer, found in layers),
        calibration=_calibration_line(report.calibration) if has_calibration else "",
        warnings=tuple(report.calibration.warnings),
        curve=tuple(_curve(report.training)),
        is_trained=report.HasField("training"),
    )


def _conversion(report: pb.Report) -> QuantizationReport:
    has_float, has_quantized = (
        report.HasField(name) for name in ("float_accuracy", "quantized_accuracy")
    )
    nodes = [layer.node for layer in report.layers if layer.node.op != INPUT]
    return QuantizationReport(
        nodes=tuple(map(decode_node, nodes)),
        float_bytes=report.float_bytes,
        artifact_bytes=report.artifact_bytes,
        parity=decode_parity(report.parity) if report.HasField("parity") else None,
        float_accuracy=report.float_accuracy if has_float else None,
        quantized_accuracy=report.quantized_accuracy if has_quantized else None,
        sensitivity=_sensitivity(report) if report.HasField("sensitivity") else None,
        latency=_latency(report) if report.HasField("latency") else None,
        gate=decode_gate(report.gate) if report.HasField("gate") else None,
        search=decode_search(report.search) if report.HasField("search") else None,
        evaluation=decode_evaluation(report.evaluation),
    )


def _sensitivity(report: pb.Report) -> SensitivityReport:
    layers = [
        LayerSensitivity(
            layer.node.node,
            found.output_sqnr_db if found.HasField("output_sqnr_db") else None,
            found.output_kl if found.HasField("output_kl") else None,
        )
        for layer, found in ((layer, layer.sensitivity) for layer in report.layers)
        if layer.HasField("sensitivity")
    ]
    ranked = sorted(layers, key=_ratio)
    summary = report.sensitivity
    return SensitivityReport(
        tuple(ranked), summary.layer_count, summary.sample_count, summary.seconds
    )


def _ratio(layer: LayerSensitivity) -> float:
    return float("inf") if layer.output_sqnr_db is None else layer.output_sqnr_db


def _latency(report: pb.Report) -> LatencyReport:
    summary = report.latency
    layers = (
        LayerLatency(
            layer.node.node,
            layer.latency.quantized_us,
            layer.latency.float_us,
            tuple(layer.latency.covers),
        )
        for layer in report.layers
        if layer.HasField("latency")
    )
    return LatencyReport(
        quantized_us=summary.quantized_us,
        float_us=summary.float_us,
        conversions_us=summary.conversions_us,
        layers=tuple(layers),
        batch=summary.batch,
        rounds=summary.rounds,
        threads=summary.threads,
        isa=summary.isa,
        cpu=summary.cpu,
    )


def _facts(report: pb.Report) -> tuple[tuple[str, str], ...]:
    facts = (
        ("Version", report.model_version),
        ("SHA-256", report.sha256),
        ("Made by", report.name),
        ("Calibration", report.calibration.name),
        ("Training", report.training.job),
        ("Evaluation", report.evaluation_dataset),
        ("Made at", report.end_time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S UTC")),
    )
    return tuple((name, value) for name, value in facts if value)


def _calibration_line(calibration: pb.ReportCalibration) -> str:
    method = optimization_pb.ObserverMethod.Name(calibration.method)
    return calibration_line(
        calibration.sample_count,
        calibration.batch_count,
        method.removeprefix("OBSERVER_METHOD_").lower(),
    )


def _activation(layer: pb.ReportLayer, found: optimization_pb.TensorRange) -> ActivationView:
    histogram, counts = found.histogram, tuple(found.histogram.counts)
    return ActivationView(
        node=layer.node.node,
        low=found.min,
        high=found.max,
        scale=found.scale,
        zero_point=found.zero_point,
        edges=(histogram.low, histogram.low + len(counts) * histogram.width),
        counts=counts,
        clipped_share=found.clipped_share if found.HasField("clipped_share") else None,
    )


def _curve(training: pb.TrainingReport) -> Iterable[CurvePoint]:
    """Yields steps and evaluations in the order of time."""
    points = [
        CurvePoint(step.step, task_loss=step.task_loss, quantization_loss=step.quantization_loss)
        for step in training.steps
    ]
    points += map(_evaluation, training.evaluations)
    return sorted(points, key=lambda point: point.step)


def _evaluation(point: pb.TrainingEvaluation) -> CurvePoint:
    return CurvePoint(
        step=point.step,
        stage=jobs_pb.JobStage.Name(point.stage).removeprefix("JOB_STAGE_").lower(),
        held_out_loss=point.task_loss,
        accuracy=point.accuracy if point.HasField("accuracy") else None,
        agreement=point.agreement if point.HasField("agreement") else None,
    )
