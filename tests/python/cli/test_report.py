"""`smidgen report` against a real gRPC server."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.v1 import optimization_service_pb2 as optimization_pb
from tests.python.cli.conftest import Smidgen
from tests.python.client.canned_server import State


@pytest.fixture(autouse=True)
def converted(state: State) -> None:
    """Gives the converted version its report and what is behind it."""
    version = state.versions["models/digits/versions/2"]
    version.report.CopyFrom(state.jobs["jobs/convert"].convert.report)
    version.job, version.calibration = "jobs/convert", "calibrations/c"
    version.train_job = "jobs/train"
    state.calibrations["calibrations/c"] = optimization_pb.Calibration(
        name="calibrations/c",
        method=optimization_pb.OBSERVER_METHOD_MOVING_AVERAGE,
        sample_count=7,
        batch_count=2,
        ranges=[optimization_pb.TensorRange(node="relu_3", min=0, max=6, scale=6 / 255)],
        warnings=["only 7 samples"],
    )


def test_the_page_has_the_report_the_ranges_and_the_training(
    smidgen: Smidgen, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    document = smidgen("report", "convert", "--html", page, "--json").document
    text = page.read_text(encoding="utf-8")
    assert document == {
        "path": str(page),
        "size_bytes": page.stat().st_size,
        "version": "models/digits/versions/2",
    }
    for expected in (
        "models/digits/versions/2",
        "-1.00 points from 98.00 % in float",
        "only 7 samples",
        "7 samples in 2 batches, method moving average.",
        "relu_3",
        "Losses by step",
        "Accuracy by step in percent",
        "jobs/train",
    ):
        assert expected in text


def test_a_version_without_training_has_no_curves(
    smidgen: Smidgen, state: State, tmp_path: Path
) -> None:
    state.versions["models/digits/versions/2"].train_job = ""
    page = tmp_path / "report.html"
    assert smidgen("report", "convert", "--html", page).code == 0
    assert "Losses by step" not in page.read_text(encoding="utf-8")


def test_without_a_page_the_report_is_shown(smidgen: Smidgen) -> None:
    ended = smidgen("report", "convert")
    assert ended.code == 0
    assert "models/digits/versions/2" in ended.out
    assert "largest difference 0 over 8 samples" in ended.out


def test_a_job_that_converted_nothing_is_refused(smidgen: Smidgen, tmp_path: Path) -> None:
    ended = smidgen("report", "train", "--html", tmp_path / "x.html", "--json")
    assert ended.code == 2
    assert ended.error["reason"] == "JOB_WITHOUT_REPORT"
    assert "jobs/train is a TRAIN_QAT job in state SUCCEEDED" in ended.error["message"]
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_found_before_the_server_is_asked(
    offline: Smidgen, tmp_path: Path
) -> None:
    ended = offline("report", "convert", "--html", tmp_path / "no" / "x.html", "--json")
    assert ended.code == 2
    assert ended.error["reason"] == "FILE_UNUSABLE"
