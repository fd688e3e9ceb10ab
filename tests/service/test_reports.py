"""GetReport: all that is known of a job in one message."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest

from smidgen.client.report_documents import report_document
from smidgen.client.reports import decode_report
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen.v1 import report_service_pb2 as pb
from smidgen.v1 import report_service_pb2_grpc
from tests.service.running_server import RunningServer, ending, start_server
from tests.service.test_restart import prepare

SMALL = "models/small"
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
CONFIG = optimization_pb.QATConfig(epochs=2, fine_tune_epochs=1, batch_size=10)


@pytest.fixture
def dataset(tmp_path: Path, images: np.ndarray, labels: np.ndarray) -> bytes:
    np.savez(tmp_path / "train.npz", inputs=images, labels=labels)
    return (tmp_path / "train.npz").read_bytes()


def get(server: RunningServer, job: str, *, histograms: bool = False) -> pb.Report:
    stub = report_service_pb2_grpc.ReportServiceStub(server.channel)
    return stub.GetReport(pb.GetReportRequest(name=job, include_histograms=histograms))


def refusal(server: RunningServer, job: str) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        get(server, job)
    return ending(caught.value)


def test_reports_on_a_training_and_on_what_it_was_converted_to(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store")
    try:
        calibration = prepare(server, model_file, dataset, images)
        train = server.train(SMALL, calibration, "datasets/train", config=CONFIG).name
        trained = server.wait_for(train)
        report = get(server, train)
        assert (report.kind, report.model_version) == (jobs_pb.JOB_KIND_TRAIN_QAT, "")
        assert list(report.layers) == []
        assert report.training.result == trained.train_qat
        steps = [step.step for step in report.training.steps]
        assert steps == list(range(1, trained.train_qat.step_count + 1))
        assert [point.epoch for point in report.training.evaluations] == [0, 1, 2, 3]
        stages = [point.stage for point in report.training.evaluations]
        assert stages[0] == jobs_pb.JOB_STAGE_LOAD
        assert stages[-1] == jobs_pb.JOB_STAGE_FINE_TUNE

        request = optimization_pb.ConvertRequest(
            name=SMALL,
            train_job=train,
            evaluation_dataset="datasets/train",
            measurements=optimization_pb.MeasurementConfig(sensitivity_seconds=60, latency=True),
        )
        request.wait.FromSeconds(60)
        converted = server.optimization.Convert(request)
        assert converted.state == jobs_pb.JOB_STATE_SUCCEEDED, converted.error
        report = get(server, converted.name)
        _check_conversion(report, converted.convert)
        assert report.calibration.name == calibration
        assert report.training == get(server, train).training
        assert not any(layer.range.HasField("histogram") for layer in report.layers)
        _check_histograms(get(server, converted.name, histograms=True))
    finally:
        server.stop()


def _check_conversion(report: pb.Report, result: jobs_pb.ConvertResult) -> None:
    assert report.model_version == result.model_version
    assert report.sha256 == result.sha256
    assert report.artifact_bytes == result.size_bytes
    assert report.parity == result.report.parity
    assert report.quantized_accuracy == result.report.quantized_accuracy
    nodes = [layer.node for layer in report.layers if layer.node.op != "input"]
    assert nodes == list(result.report.nodes)
    assert [layer.node.op for layer in report.layers].count("input") == 1
    measured = [layer for layer in report.layers if layer.HasField("sensitivity")]
    assert report.sensitivity.measured_count == report.sensitivity.layer_count == len(measured)
    timed = [layer for layer in report.layers if layer.HasField("latency")]
    convs = {layer.node.node for layer in report.layers if layer.node.op == "conv2d"}
    assert convs <= {layer.node.node for layer in timed}
    assert report.latency.float_us > 0 < report.latency.quantized_us
    for layer in report.layers:
        if layer.HasField("range") and layer.node.op != "input":
            assert layer.range.scale == layer.node.output_scale
            zero = -layer.range.min / layer.range.scale
            assert zero == pytest.approx(layer.node.output_zero_point, abs=1.0)


def _check_histograms(report: pb.Report) -> None:
    """Each range has a histogram, and the share that lies outside is counted in it."""
    ranges = [layer.range for layer in report.layers if layer.HasField("range")]
    assert ranges
    for found in ranges:
        counts = np.array(found.histogram.counts)
        edges = found.histogram.low + found.histogram.width * np.arange(len(counts) + 1)
        outside = (edges[1:] <= min(found.min, 0.0)) | (edges[:-1] >= max(found.max, 0.0))
        share = counts[outside].sum() / counts.sum()
        inner = counts[1:-1].sum() / counts.sum()
        assert counts.sum() > 0
        assert found.clipped_share == pytest.approx(share, abs=1.0 - inner + 1e-9)


def test_without_measurements_there_are_none(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store")
    try:
        calibration = prepare(server, model_file, dataset, images)
        request = optimization_pb.ConvertRequest(name=SMALL, calibration=calibration)
        request.wait.FromSeconds(60)
        report = get(server, server.optimization.Convert(request).name)
        assert report.layers
        for name in ("sensitivity", "latency", "training", "float_accuracy"):
            assert not report.HasField(name)
        request.measurements.sensitivity_seconds = 5
        with pytest.raises(grpc.RpcError) as caught:
            server.optimization.Convert(request)
        invalid = grpc.StatusCode.INVALID_ARGUMENT
        assert ending(caught.value) == (invalid, "SENSITIVITY_NEEDS_SAMPLES")

        endless = optimization_pb.QATConfig(epochs=10_000, batch_size=10)
        job = server.train(SMALL, calibration, "datasets/train", config=endless).name
        assert refusal(server, job) == (PRECONDITION, "JOB_NOT_FINISHED")
        server.jobs.CancelJob(jobs_pb.CancelJobRequest(name=job))
        server.wait_for(job)
        assert refusal(server, job) == (PRECONDITION, "JOB_WITHOUT_RESULT")
        assert refusal(server, "jobs/absent") == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
        assert refusal(server, "models/small") == (invalid, "INVALID_NAME")
    finally:
        server.stop()


def test_equalized_conversions_have_no_histograms_of_other_values(
    server: RunningServer, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    calibration = prepare(server, model_file, dataset, images)
    plain = get(server, server.convert(SMALL, calibration=calibration).name, histograms=True)
    equalized = server.convert(
        SMALL,
        calibration=calibration,
        calibration_dataset="datasets/train",
        post_training=optimization_pb.PostTrainingConfig(equalize=True),
    )
    report = get(server, equalized.name, histograms=True)
    ranges = [layer.range for layer in report.layers if layer.HasField("range")]
    assert len(ranges) == sum(layer.HasField("range") for layer in plain.layers) > 0
    for found in ranges:
        assert not found.HasField("histogram")
        assert not found.HasField("clipped_share")
    assert any(layer.range.HasField("histogram") for layer in plain.layers)
    assert any(layer.range.HasField("clipped_share") for layer in plain.layers)


def test_reports_have_the_limits_and_the_search(
    server: RunningServer, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    server.upload_model("held", model_file)
    server.upload_dataset("held", dataset)
    converted = server.convert(
        "models/held",
        calibration=server.calibrate("models/held", images).name,
        evaluation_dataset="datasets/held",
        gate=optimization_pb.GateConfig(max_drop=1.0, min_sqnr_db=-100.0),
        search=optimization_pb.SearchConfig(evaluations=2),
    )
    assert converted.state == jobs_pb.JOB_STATE_SUCCEEDED, converted.error
    report, expected = get(server, converted.name), converted.convert.report
    assert (report.gate, report.search) == (expected.gate, expected.search)
    assert report.gate.max_drop == 1.0
    assert [trial.reason for trial in report.search.trials] == ["start"]
    document = report_document(report).report
    assert document is not None
    assert document.gate == decode_report(expected).gate
    assert document.search == decode_report(expected).search
