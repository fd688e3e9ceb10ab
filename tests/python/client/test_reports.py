from __future__ import annotations

from smidgen.client.reports import decode_report
from smidgen.report import (
    Distance,
    FakeQuantizedParity,
    FloatParity,
    NodeReport,
    ParityCertificate,
    QuantizationReport,
)
from smidgen.v1 import report_pb2 as pb


def test_every_field_of_a_report_is_read() -> None:
    node = NodeReport(
        node="v0",
        op="conv2d",
        is_quantized=True,
        module_path="conv",
        output_scale=0.5,
        output_zero_point=3,
        float_bytes=40,
        quantized_bytes=12,
        sqnr_db=31.5,
        weight_bits=4,
        activation="v0",
    )
    report = QuantizationReport(
        nodes=(node, NodeReport("v1", "batch_norm", False, reason="FOLDED")),
        float_bytes=40,
        artifact_bytes=900,
        parity=ParityCertificate(
            8,
            0,
            ("portable", "avx2"),
            differing_bytes=0,
            compared_bytes=1 << 40,
            fake_quantized=FakeQuantizedParity(
                4, Distance(1, 3, 2000), "v2", Distance(5, 100, 2000), top1_agreement=0.0
            ),
            float_model=FloatParity(9, top1_agreement=0.5, output_sqnr_db=0.0),
        ),
        float_accuracy=0.0,
        quantized_accuracy=0.5,
    )
    document = report.to_dict()
    for measured in ("sensitivity", "latency"):  # which GetReport has
        assert document.pop(measured) is None
    for entry in document["nodes"]:
        if entry["sqnr_db"] is None:
            del entry["sqnr_db"]
    assert decode_report(pb.QuantizationReport(**document)) == report


def test_a_certificate_may_lack_what_was_not_compared() -> None:
    message = pb.QuantizationReport(float_bytes=7)
    message.parity.sample_count = 2
    message.parity.fake_quantized.sample_count = 1
    parity = decode_report(message).parity
    assert parity is not None
    assert parity.float_model is None
    nothing = Distance(0, 0, 0)
    assert parity.fake_quantized == FakeQuantizedParity(1, nothing, "", nothing)


def test_what_is_absent_is_none() -> None:
    assert decode_report(pb.QuantizationReport(float_bytes=7)) == QuantizationReport((), 7)
