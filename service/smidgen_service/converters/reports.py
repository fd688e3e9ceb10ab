"""Quantization reports."""

from __future__ import annotations

from dataclasses import asdict

from smidgen.report import (
    Distance,
    EvaluationData,
    FakeQuantizedParity,
    GateReport,
    NodeReport,
    ParityCertificate,
    PrecisionSearch,
    QuantizationReport,
)
from smidgen.v1 import report_pb2

EVALUATIONS = {
    None: report_pb2.EVALUATION_DATA_UNSPECIFIED,
    EvaluationData.DATASET: report_pb2.EVALUATION_DATA_DATASET,
    EvaluationData.HELD_OUT: report_pb2.EVALUATION_DATA_HELD_OUT,
}


def report_to_message(report: QuantizationReport) -> report_pb2.QuantizationReport:
    """Returns a report as a message."""
    return report_pb2.QuantizationReport(
        nodes=[node_to_message(node) for node in report.nodes],
        float_bytes=report.float_bytes,
        artifact_bytes=report.artifact_bytes,
        parity=parity_to_message(report.parity) if report.parity is not None else None,
        float_accuracy=report.float_accuracy,
        quantized_accuracy=report.quantized_accuracy,
        gate=gate_to_message(report.gate) if report.gate is not None else None,
        search=search_to_message(report.search) if report.search is not None else None,
        evaluation=EVALUATIONS[report.evaluation],
    )


def gate_to_message(gate: GateReport) -> report_pb2.GateReport:
    """Returns the limits that a conversion passed as a message."""
    return report_pb2.GateReport(
        sample_count=gate.sample_count,
        max_drop=gate.max_drop,
        drop=gate.drop,
        min_sqnr_db=gate.min_sqnr_db,
        sqnr_db=gate.sqnr_db,
    )


def search_to_message(search: PrecisionSearch) -> report_pb2.PrecisionSearch:
    """Returns what a search found as a message."""
    return report_pb2.PrecisionSearch(
        changes=[report_pb2.PrecisionChange(**asdict(change)) for change in search.changes],
        trials=[report_pb2.PrecisionTrial(**asdict(trial)) for trial in search.trials],
        is_complete=search.is_complete,
    )


def node_to_message(node: NodeReport) -> report_pb2.NodeReport:
    """Returns a node as a message."""
    return report_pb2.NodeReport(
        node=node.node,
        module_path=node.module_path,
        op=node.op,
        is_quantized=node.is_quantized,
        reason=node.reason,
        output_scale=node.output_scale,
        output_zero_point=node.output_zero_point,
        float_bytes=node.float_bytes,
        quantized_bytes=node.quantized_bytes,
        sqnr_db=node.sqnr_db,
        weight_bits=node.weight_bits,
        activation=node.activation,
    )


def parity_to_message(parity: ParityCertificate) -> report_pb2.ParityCertificate:
    """Returns a certificate as a message."""
    fake, float_model = parity.fake_quantized, parity.float_model
    return report_pb2.ParityCertificate(
        sample_count=parity.sample_count,
        max_difference=parity.max_difference,
        isas=parity.isas,
        differing_bytes=parity.differing_bytes,
        compared_bytes=parity.compared_bytes,
        fake_quantized=None if fake is None else _fake_quantized(fake),
        float_model=None
        if float_model is None
        else report_pb2.FloatParity(
            sample_count=float_model.sample_count,
            top1_agreement=float_model.top1_agreement,
            output_sqnr_db=float_model.output_sqnr_db,
        ),
    )


def _fake_quantized(parity: FakeQuantizedParity) -> report_pb2.FakeQuantizedParity:
    return report_pb2.FakeQuantizedParity(
        sample_count=parity.sample_count,
        layers=_distance(parity.layers),
        worst_layer=parity.worst_layer,
        free_running=_distance(parity.free_running),
        top1_agreement=parity.top1_agreement,
    )


def _distance(distance: Distance) -> report_pb2.Distance:
    return report_pb2.Distance(
        max_lsb=distance.max_lsb, differing=distance.differing, elements=distance.elements
    )
