"""`smidgen report` against a real gRPC server."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen.v1 import report_pb2
from smidgen.v1 import report_service_pb2 as pb
from tests.python.cli.conftest import Smidgen
from tests.python.client.canned_server import State

TRAINING = pb.TrainingReport(
    job="jobs/train",
    result=jobs_pb.TrainQATResult(accuracy=0.975, best_epoch=3, step_count=20),
    steps=[
        pb.TrainingStep(step=10, task_loss=2.0, quantization_loss=0.5),
        pb.TrainingStep(step=20, task_loss=1.0, quantization_loss=0.25),
    ],
    evaluations=[
        pb.TrainingEvaluation(step=0, stage=jobs_pb.JOB_STAGE_LOAD, accuracy=0.5, task_loss=3.0),
        pb.TrainingEvaluation(step=20, stage=jobs_pb.JOB_STAGE_QAT, accuracy=0.9, task_loss=1.5),
    ],
)
LAYERS = (
    pb.ReportLayer(
        node=report_pb2.NodeReport(node="x", op="input", is_quantized=True, activation="x"),
        sensitivity=pb.LayerSensitivity(output_sqnr_db=40.0, output_kl=0.0),
    ),
    pb.ReportLayer(
        node=report_pb2.NodeReport(
            node="v1",
            op="conv2d",
            module_path="features.0",
            is_quantized=True,
            activation="v3",
            float_bytes=400,
            quantized_bytes=100,
            sqnr_db=32.5,
        ),
        range=optimization_pb.TensorRange(
            node="v3",
            max=6,
            scale=6 / 255,
            clipped_share=0.125,
            histogram=optimization_pb.Histogram(low=0.0, width=1.0, counts=[8, 4, 0, 1, 1, 1, 1]),
        ),
        sensitivity=pb.LayerSensitivity(output_sqnr_db=20.0),
        latency=pb.LayerLatency(quantized_us=40.0, float_us=100.0, covers=["v4"]),
    ),
)


@pytest.fixture(autouse=True)
def reports(state: State) -> None:
    """Gives the jobs their reports."""
    state.reports["jobs/convert"] = pb.Report(
        name="jobs/convert",
        kind=jobs_pb.JOB_KIND_CONVERT,
        model="models/digits",
        model_version="models/digits/versions/2",
        sha256="ab" * 32,
        float_bytes=400,
        artifact_bytes=200,
        float_accuracy=0.98,
        quantized_accuracy=0.97,
        parity=report_pb2.ParityCertificate(sample_count=8, isas=["portable"]),
        layers=LAYERS,
        sensitivity=pb.SensitivitySummary(
            measured_count=2, layer_count=3, sample_count=8, seconds=1.5
        ),
        latency=pb.LatencySummary(
            quantized_us=50.0, float_us=125.0, batch=1, rounds=9, threads=1, isa="avx2"
        ),
        calibration=pb.ReportCalibration(
            name="calibrations/c",
            method=optimization_pb.OBSERVER_METHOD_MOVING_AVERAGE,
            sample_count=7,
            batch_count=2,
            warnings=["only 7 samples"],
        ),
        training=TRAINING,
    )
    state.reports["jobs/train"] = pb.Report(
        name="jobs/train", kind=jobs_pb.JOB_KIND_TRAIN_QAT, training=TRAINING
    )


def test_the_page_has_all_that_the_message_has(
    smidgen: Smidgen, state: State, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    document = smidgen("report", "convert", "--html", page, "--json").document
    assert state.last_request == pb.GetReportRequest(name="jobs/convert", include_histograms=True)
    text = page.read_text(encoding="utf-8")
    assert document == {
        "path": str(page),
        "size_bytes": page.stat().st_size,
        "report": "models/digits/versions/2",
    }
    for expected in (
        "models/digits/versions/2",
        "-1.00 points from 98.00 % in float",
        "2.50x faster",
        "only 7 samples",
        "7 samples in 2 batches, method moving average.",
        "features.0: 12.5 % of its values are outside the range",
        "99.0 % (20.0 dB)",
        "input x",
        "There was no time for 1 of 3 layers",
        "40.0 µs",
        "Losses by step",
        "Held-out split by step, in percent",
        "jobs/train",
    ):
        assert expected in text


def test_a_version_without_training_has_no_curves(
    smidgen: Smidgen, state: State, tmp_path: Path
) -> None:
    state.reports["jobs/convert"].ClearField("training")
    page = tmp_path / "report.html"
    assert smidgen("report", "convert", "--html", page).code == 0
    assert "Losses by step" not in page.read_text(encoding="utf-8")


def test_without_a_page_the_report_is_shown(smidgen: Smidgen, state: State) -> None:
    ended = smidgen("report", "convert")
    assert ended.code == 0
    assert state.last_request == pb.GetReportRequest(name="jobs/convert")
    for expected in (
        "models/digits/versions/2",
        "largest difference 0 over 8 samples",
        "0.050 ms, float 0.125 ms",
        "features.0 20.0 dB, x 40.0 dB; 2 of 3 layers measured",
    ):
        assert expected in ended.out
    assert smidgen("report", "convert", "--json").document["model_version"].endswith("/2")


def test_a_training_has_its_curves_alone(smidgen: Smidgen, tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    document = smidgen("report", "train", "--html", page, "--json").document
    assert document["report"] == "jobs/train"
    text = page.read_text(encoding="utf-8")
    assert "Losses by step" in text
    assert "All layers" not in text
    assert "0.9750" in smidgen("report", "train").out


def test_a_conversion_writes_its_page(smidgen: Smidgen, state: State, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ended = smidgen("convert", "digits", "--calibration", "c", "--report", page, "--json")
    assert ended.document["name"] == "jobs/convert"
    assert state.last_request == pb.GetReportRequest(name="jobs/convert", include_histograms=True)
    assert "models/digits/versions/2" in page.read_text(encoding="utf-8")
    detached = smidgen(
        *("convert", "digits", "--calibration", "c", "--report", page, "--detach", "--json")
    )
    assert (detached.code, detached.error["reason"]) == (2, "OPTION_NOT_APPLICABLE")


def test_a_job_that_does_not_exist_leaves_no_page(smidgen: Smidgen, tmp_path: Path) -> None:
    ended = smidgen("report", "absent", "--html", tmp_path / "x.html", "--json")
    assert ended.code != 0
    assert list(tmp_path.iterdir()) == []


def test_measurements_are_asked_for(smidgen: Smidgen, state: State) -> None:
    convert = ("convert", "digits", "--calibration", "c", "--evaluation-dataset", "d")
    assert smidgen(*convert, "--sensitivity-seconds", "30", "--latency").code == 0
    request = state.last_request
    assert isinstance(request, optimization_pb.ConvertRequest)
    assert request.measurements.sensitivity_seconds == 30
    assert request.measurements.latency
    assert smidgen(*convert).code == 0
    request = state.last_request
    assert isinstance(request, optimization_pb.ConvertRequest)
    assert not request.HasField("measurements")


def test_a_missing_folder_is_found_before_the_server_is_asked(
    offline: Smidgen, tmp_path: Path
) -> None:
    ended = offline("report", "convert", "--html", tmp_path / "no" / "x.html", "--json")
    assert ended.code == 2
    assert ended.error["reason"] == "FILE_UNUSABLE"
