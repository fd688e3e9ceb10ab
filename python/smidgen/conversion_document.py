"""What the page of a conversion shows that was done without a server. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from smidgen.histogram import Histogram
from smidgen.html_report.document import (
    ActivationView,
    CurvePoint,
    ReportDocument,
    calibration_line,
)
from smidgen.layer_report import LayerRange, LayerReport, report_layers
from smidgen.profile import CalibrationProfile
from smidgen.qat.curve import EvaluationPoint, TrainingCurve
from smidgen.report import QuantizationReport
from smidgen.tensor_spec import TensorSpec

MOST_CURVE_POINTS = 2000
"""As many as a server keeps of a training."""


def conversion_document(
    title: str,
    report: QuantizationReport,
    *,
    inputs: tuple[TensorSpec, ...] = (),
    profile: CalibrationProfile | None = None,
    is_equalized: bool = False,
    curve: TrainingCurve | None = None,
) -> ReportDocument:
    """Makes the document of a conversion.

    Args:
        title: What was converted.
        report: What the conversion found out.
        inputs: The float model's.
        profile: The calibration; None for a model that was quantized already.
        is_equalized: Whether channels were evened out, so that the calibration saw other values.
        curve: The training's; None without one.
    """
    seen = profile
    if profile is not None and is_equalized:
        seen = replace(profile, clipped_shares={}, statistics={})
    layers = report_layers(report, seen, inputs)
    return ReportDocument(
        title=title,
        report=report,
        activations=tuple(_activations(layers)),
        calibration="" if profile is None else _calibration(profile),
        warnings=() if profile is None else profile.warnings,
        curve=() if curve is None else tuple(_points(curve.thinned(MOST_CURVE_POINTS))),
        is_trained=curve is not None,
    )


def _calibration(profile: CalibrationProfile) -> str:
    return calibration_line(profile.sample_count, profile.batch_count, profile.method.value)


def _activations(layers: Iterable[LayerReport]) -> Iterable[ActivationView]:
    for layer in layers:
        if layer.range is not None:
            yield _activation(layer.node.node, layer.range)


def _activation(node: str, found: LayerRange) -> ActivationView:
    return ActivationView(
        node=node,
        low=found.low,
        high=found.high,
        scale=found.scale,
        zero_point=found.zero_point,
        edges=(0.0, 0.0) if found.histogram is None else _edges(found.histogram),
        counts=() if found.histogram is None else tuple(found.histogram.counts.tolist()),
        clipped_share=found.clipped_share,
    )


def _edges(histogram: Histogram) -> tuple[float, float]:
    return histogram.low, histogram.low + len(histogram.counts) * histogram.width


def _points(curve: TrainingCurve) -> Iterable[CurvePoint]:
    """Returns steps and evaluations in the order of time."""
    columns = (curve.column(name) for name in ("step", "task_loss", "quantization_loss"))
    points = [
        CurvePoint(int(step), task_loss=task, quantization_loss=distance)
        for step, task, distance in zip(*(column.tolist() for column in columns), strict=True)
    ]
    points += map(_evaluation, curve.evaluations)
    return sorted(points, key=lambda point: point.step)


def _evaluation(point: EvaluationPoint) -> CurvePoint:
    return CurvePoint(
        step=point.step,
        stage=point.stage.value,
        held_out_loss=point.task_loss,
        accuracy=point.accuracy,
        agreement=point.agreement,
    )
