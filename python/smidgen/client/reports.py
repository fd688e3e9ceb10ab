"""Reads quantization reports from the wire."""

from __future__ import annotations

from smidgen.report import (
    Distance,
    EvaluationData,
    FakeQuantizedParity,
    FloatParity,
    GateReport,
    NodeReport,
    ParityCertificate,
    PrecisionChange,
    PrecisionSearch,
    PrecisionTrial,
    QuantizationReport,
)
from smidgen.v1 import report_pb2 as pb

_EVALUATIONS = {
    pb.EVALUATION_DATA_DATASET: EvaluationData.DATASET,
    pb.EVALUATION_DATA_HELD_OUT: EvaluationData.HELD_OUT,
}


def decode_report(report: pb.QuantizationReport) -> QuantizationReport:
    """Turns a report of the protocol into the library's, in which what is absent is None."""
    has_float = report.HasField("float_accuracy")
    has_quantized = report.HasField("quantized_accuracy")
    return QuantizationReport(
        nodes=tuple(decode_node(node) for node in report.nodes),
        float_bytes=report.float_bytes,
        artifact_bytes=report.artifact_bytes,
        parity=decode_parity(report.parity) if report.HasField("parity") else None,
        float_accuracy=report.float_accuracy if has_float else None,
        quantized_accuracy=report.quantized_accuracy if has_quantized else None,
        gate=decode_gate(report.gate) if report.HasField("gate") else None,
        search=decode_search(report.search) if report.HasField("search") else None,
        evaluation=decode_evaluation(report.evaluation),
    )


def decode_evaluation(data: pb.EvaluationData.ValueType) -> EvaluationData | None:
    """Turns what a conversion was evaluated on into the library's; None for nothing."""
    return _EVALUATIONS.get(data)


def decode_gate(gate: pb.GateReport) -> GateReport:
    """Turns the limits that a conversion passed into the library's."""
    return GateReport(
        sample_count=gate.sample_count,
        max_drop=gate.max_drop if gate.HasField("max_drop") else None,
        drop=gate.drop if gate.HasField("drop") else None,
        min_sqnr_db=gate.min_sqnr_db if gate.HasField("min_sqnr_db") else None,
        sqnr_db=gate.sqnr_db if gate.HasField("sqnr_db") else None,
    )


def decode_search(search: pb.PrecisionSearch) -> PrecisionSearch:
    """Turns what a search found into the library's."""
    return PrecisionSearch(
        changes=tuple(
            PrecisionChange(
                node=change.node,
                module_path=change.module_path,
                before=change.before,
                after=change.after,
                output_sqnr_db=change.output_sqnr_db if change.HasField("output_sqnr_db") else None,
                output_kl=change.output_kl if change.HasField("output_kl") else None,
            )
            for change in search.changes
        ),
        trials=tuple(
            PrecisionTrial(
                reason=trial.reason,
                nodes=tuple(trial.nodes),
                drop=trial.drop if trial.HasField("drop") else None,
                sqnr_db=trial.sqnr_db if trial.HasField("sqnr_db") else None,
                holds=trial.holds,
            )
            for trial in search.trials
        ),
        is_complete=search.is_complete,
    )


def decode_node(node: pb.NodeReport) -> NodeReport:
    """Turns a node of the protocol into the library's."""
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
        activation=node.activation,
        sqnr_db=node.sqnr_db if node.HasField("sqnr_db") else None,
    )


def decode_parity(parity: pb.ParityCertificate) -> ParityCertificate:
    """Turns a certificate of the protocol into the library's."""
    has_fake, has_float = parity.HasField("fake_quantized"), parity.HasField("float_model")
    return ParityCertificate(
        sample_count=parity.sample_count,
        max_difference=parity.max_difference,
        isas=tuple(parity.isas),
        differing_bytes=parity.differing_bytes,
        compared_bytes=parity.compared_bytes,
        fake_quantized=_decode_fake_quantized(parity.fake_quantized) if has_fake else None,
        float_model=_decode_float(parity.float_model) if has_float else None,
    )


def _decode_fake_quantized(parity: pb.FakeQuantizedParity) -> FakeQuantizedParity:
    return FakeQuantizedParity(
        sample_count=parity.sample_count,
        layers=_decode_distance(parity.layers),
        worst_layer=parity.worst_layer,
        free_running=_decode_distance(parity.free_running),
        top1_agreement=parity.top1_agreement if parity.HasField("top1_agreement") else None,
    )


def _decode_float(parity: pb.FloatParity) -> FloatParity:
    return FloatParity(
        sample_count=parity.sample_count,
        top1_agreement=parity.top1_agreement if parity.HasField("top1_agreement") else None,
        output_sqnr_db=parity.output_sqnr_db if parity.HasField("output_sqnr_db") else None,
    )


def _decode_distance(distance: pb.Distance) -> Distance:
    return Distance(distance.max_lsb, distance.differing, distance.elements)
