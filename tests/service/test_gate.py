"""Conversions that lose too much, through a real socket."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest
import torch
from torch import nn

from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2
from smidgen.v1 import optimization_service_pb2 as pb
from tests.service.conftest import export
from tests.service.running_server import RunningServer, ending

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SMALL = "models/small"


@pytest.fixture(scope="module")
def calibration(
    server: RunningServer,
    images: np.ndarray,
    labels: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("files")
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4, bias=False))
    server.upload_model("small", export(net, folder / "small.pt2", 1, 8, 8).read_bytes())
    np.savez(folder / "labelled.npz", inputs=images, labels=labels)
    np.savez(folder / "bare.npz", inputs=images)
    for name in ("labelled", "bare"):
        server.upload_dataset(name, (folder / f"{name}.npz").read_bytes())
    return str(server.calibrate(SMALL, images / 50).name)  # ranges that clip most logits


def test_a_kept_gate_is_reported(server: RunningServer, calibration: str) -> None:
    gate = pb.GateConfig(max_drop=1.0, min_sqnr_db=-50)
    for data in ("labelled", "bare"):
        job = server.convert(
            SMALL, calibration=calibration, gate=gate, evaluation_dataset=f"datasets/{data}"
        )
        assert job.state == jobs_pb.JOB_STATE_SUCCEEDED, job
        found = job.convert.report.gate
        assert (found.sample_count, found.max_drop, found.min_sqnr_db) == (96, 1.0, -50.0)
        report = job.convert.report
        if data == "labelled":
            assert found.drop == pytest.approx(report.float_accuracy - report.quantized_accuracy)
        else:
            assert found.drop == pytest.approx(1 - report.parity.float_model.top1_agreement)
        assert found.sqnr_db == pytest.approx(report.parity.float_model.output_sqnr_db)


def test_a_failed_gate_publishes_nothing(server: RunningServer, calibration: str) -> None:
    request = model_service_pb2.ListModelVersionsRequest(parent=SMALL)
    before = server.models.ListModelVersions(request).model_versions
    job = server.convert(
        SMALL,
        calibration=calibration,
        gate=pb.GateConfig(max_drop=0.0, min_sqnr_db=40),
        evaluation_dataset="datasets/bare",
    )
    assert job.state == jobs_pb.JOB_STATE_FAILED
    assert job.error.reason == "ACCURACY_GATE_FAILED"
    assert job.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    found = float(job.error.metadata["found"])
    assert found > 0
    assert job.error.metadata["limit"] == "max_drop"
    assert float(job.error.metadata["missed_by"]) == found
    assert "max_drop allows 0, missed by" in job.error.message
    assert "at least 40 dB is asked" in job.error.message
    assert server.models.ListModelVersions(request).model_versions == before
    assert not list(server.data_dir.rglob("*.smidgen"))


def test_a_search_finds_what_holds(server: RunningServer, calibration: str) -> None:
    fields = {
        "calibration": calibration,
        "gate": pb.GateConfig(min_sqnr_db=40),
        "evaluation_dataset": "datasets/bare",
    }
    job = server.convert(SMALL, **fields)
    assert job.error.metadata["limit"] == "min_sqnr_db"
    job = server.convert(SMALL, search=pb.SearchConfig(), **fields)
    assert job.state == jobs_pb.JOB_STATE_SUCCEEDED, job
    events = list(server.jobs.WatchJob(jobs_pb.WatchJobRequest(name=job.name), timeout=60))
    told = [event for event in events if event.stage == jobs_pb.JOB_STAGE_SEARCH]
    assert [(event.step, event.total_steps) for event in told if event.message] == [
        (1, 50),
        (2, 50),
    ]
    assert told[-1].message.startswith("lift: 1 layer with more bits, ")
    assert told[-1].message.endswith("dB, holds")
    assert jobs_pb.JOB_STAGE_VERIFY in [event.stage for event in events]
    report = job.convert.report
    (change,) = report.search.changes
    assert (change.before, change.after) == ("int8", "float")
    assert change.HasField("output_sqnr_db")
    assert [trial.holds for trial in report.search.trials] == [False, True]
    assert report.search.is_complete
    assert [node.weight_bits for node in report.nodes if node.weight_bits] == [32]
    job = server.convert(SMALL, search=pb.SearchConfig(evaluations=1), **fields)
    assert job.error.reason == "ACCURACY_GATE_FAILED"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"gate": pb.GateConfig(max_drop=0.1)}, "GATE_NEEDS_EVALUATION"),
        ({"search": pb.SearchConfig()}, "SEARCH_NEEDS_GATE"),
        (
            {"gate": pb.GateConfig(max_drop=0), "search": pb.SearchConfig(evaluations=-1)},
            "INVALID_CONFIG",
        ),
        (
            {"gate": pb.GateConfig(max_drop=1.5), "evaluation_dataset": "datasets/bare"},
            "INVALID_CONFIG",
        ),
        (
            {"gate": pb.GateConfig(min_sqnr_db=1e9), "evaluation_dataset": "datasets/bare"},
            "INVALID_CONFIG",
        ),
    ],
)
def test_bad_gates_are_refused(
    server: RunningServer, calibration: str, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL, calibration=calibration, **fields)
    assert ending(caught.value) == (INVALID, reason)
