"""Reads quantization reports from the wire."""

from __future__ import annotations

from smidgen.report import NodeReport, ParityCertificate, QuantizationReport
from smidgen.v1 import report_pb2 as pb


def decode_report(report: pb.QuantizationReport) -> QuantizationReport:
    """Turns a report of the protocol into the library's, in which what is absent is None."""
    has_float = report.HasField("float_accuracy")
    has_quantized = report.HasField("quantized_accuracy")
    return QuantizationReport(
        nodes=tuple(_decode_node(node) for node in report.nodes),
        float_bytes=report.float_bytes,
        artifact_bytes=report.artifact_bytes,
        parity=_decode_parity(report.parity) if report.HasField("parity") else None,
        float_accuracy=report.float_accuracy if has_float else None,
        quantized_accuracy=report.quantized_accuracy if has_quantized else None,
    )


def _decode_node(node: pb.NodeReport) -> NodeReport:
    return NodeReport(
        node=node.node,
        op=node.op,
        is_quantized=node.is_quantized,
        module_path=node.module_path,
        reason=node.reason,
        output_scale=node.output_scale,
        output_zero_point=node.output_zero_point,
        float_bytes=node.float_bytes,
        quantized_bytes=node.quantized_bytes,
        weight_bits=node.weight_bits,
        sqnr_db=node.sqnr_db if node.HasField("sqnr_db") else None,
    )


def _decode_parity(parity: pb.ParityCertificate) -> ParityCertificate:
    return ParityCertificate(parity.sample_count, parity.max_difference, tuple(parity.isas))
