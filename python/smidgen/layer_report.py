"""What is known of each layer of a converted model, put together. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from smidgen.histogram import Histogram
from smidgen.measured import LayerLatency, LayerSensitivity
from smidgen.profile import CalibrationProfile
from smidgen.qparams import QParams
from smidgen.ranges.clipping import clipped_share
from smidgen.report import NodeReport, QuantizationReport
from smidgen.tensor_spec import TensorSpec


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
        if not found.has_scale:
            return None
        scale, zero_point = float(found.qparams.scale), int(found.qparams.zero_point)
    elif node.output_scale and (found is not None or profile is None):
        scale, zero_point = node.output_scale, node.output_zero_point
    else:
        return None
    low, high = scale * (0 - zero_point), scale * (255 - zero_point)
    whole = LayerRange(low, high, scale, zero_point)
    if profile is None or found is None:
        return whole
    if found.has_scale and found.qparams == QParams(scale, zero_point):
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
