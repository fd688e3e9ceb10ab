"""Quantization reports."""

from __future__ import annotations

from smidgen.report import NodeReport, ParityCertificate, QuantizationReport
from smidgen.v1 import report_pb2


def report_to_message(report: QuantizationReport) -> report_pb2.QuantizationReport:
    """Returns a report as a message."""
    return report_pb2.QuantizationReport(
        nodes=[_node(node) for node in report.nodes],
        float_bytes=report.float_bytes,
        artifact_bytes=report.artifact_bytes,
        parity=_parity(report.parity) if report.parity is not None else None,
        float_accuracy=report.float_accuracy,
        quantized_accuracy=report.quantized_accuracy,
    )


def _node(node: NodeReport) -> report_pb2.NodeReport:
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
    )


def _parity(parity: ParityCertificate) -> report_pb2.ParityCertificate:
    return report_pb2.ParityCertificate(
        sample_count=parity.sample_count,
        max_difference=parity.max_difference,
        isas=parity.isas,
    )
