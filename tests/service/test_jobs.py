"""Training, conversion and inference through a real socket, from upload to answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2

from smidgen.v1 import dataset_service_pb2, model_service_pb2
from smidgen.v1 import job_service_pb2 as pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from tests.service.running_server import RunningServer, details, ending, sha256
from tests.service.test_uploads import wait_until

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MISSING = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
SMALL = "models/small"


@dataclass(frozen=True)
class Prepared:
    """A calibrated model and a dataset for it on a server."""

    calibration: str
    other_calibration: str
    dataset: str


@pytest.fixture(scope="module")
def prepared(
    server: RunningServer,
    model_file: bytes,
    other_model_file: bytes,
    images: np.ndarray,
    labels: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Prepared:
    server.upload_model("small", model_file)
    server.upload_model("other", other_model_file)
    path = tmp_path_factory.mktemp("datasets") / "train.npz"
    np.savez(path, inputs=images, labels=labels)
    server.upload_dataset("train", path.read_bytes())
    colour = np.zeros((4, 3, 8, 8), np.float32)
    return Prepared(
        calibration=server.calibrate(SMALL, images).name,
        other_calibration=server.calibrate("models/other", colour).name,
        dataset="datasets/train",
    )


@pytest.fixture(scope="module")
def trained(server: RunningServer, prepared: Prepared) -> pb.Job:
    return server.wait_for(server.train(SMALL, prepared.calibration, prepared.dataset).name)


def long_config() -> optimization_pb.QATConfig:
    return optimization_pb.QATConfig(epochs=10_000, fine_tune_epochs=0, batch_size=4)


def test_training_succeeds_with_a_result(trained: pb.Job) -> None:
    assert trained.state == pb.JOB_STATE_SUCCEEDED
    assert trained.kind == pb.JOB_KIND_TRAIN_QAT
    assert trained.progress == 1.0
    assert trained.train_qat.step_count == 5  # whole batches of 16 in 96 samples less a tenth
    assert 0 <= trained.train_qat.accuracy <= 1
    assert trained.start_time.ToNanoseconds() <= trained.end_time.ToNanoseconds()


def test_events_are_numbered_without_gaps(server: RunningServer, trained: pb.Job) -> None:
    events = list(server.jobs.WatchJob(pb.WatchJobRequest(name=trained.name)))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.state for event in events[:2]] == [pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING]
    assert events[-1].state == pb.JOB_STATE_SUCCEEDED
    assert trained.last_sequence == len(events)
    training = [event for event in events if event.stage == pb.JOB_STAGE_QAT]
    assert training[-1].step == training[-1].total_steps == 5
    assert training[-1].HasField("task_loss")
    assert training[-1].HasField("accuracy")


def test_training_without_labels_reports_agreement(
    server: RunningServer, prepared: Prepared, images: np.ndarray, tmp_path: Path
) -> None:
    np.savez(tmp_path / "unlabelled.npz", inputs=images)
    server.upload_dataset("unlabelled", (tmp_path / "unlabelled.npz").read_bytes())
    config = optimization_pb.QATConfig(
        epochs=1,
        batch_size=16,
        task_loss=optimization_pb.TASK_LOSS_NONE,
        loss=optimization_pb.LossConfig(
            temperature=2, features=[optimization_pb.FeatureDistance(pattern="*")]
        ),
    )
    started = server.train(SMALL, prepared.calibration, "datasets/unlabelled", config=config)
    job = server.wait_for(started.name)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    assert 0 <= job.train_qat.agreement <= 1
    assert not job.train_qat.HasField("accuracy")
    events = list(server.jobs.WatchJob(pb.WatchJobRequest(name=job.name)))
    evaluated = [event for event in events if event.HasField("agreement")]
    assert [event.stage for event in evaluated] == [pb.JOB_STAGE_QAT, pb.JOB_STAGE_FINE_TUNE]
    assert all(event.feature_loss > 0 and event.task_loss == 0 for event in evaluated)


def test_watch_continues_after_a_sequence(server: RunningServer, trained: pb.Job) -> None:
    rest = list(server.jobs.WatchJob(pb.WatchJobRequest(name=trained.name, after_sequence=2)))
    assert [event.sequence for event in rest] == list(range(3, trained.last_sequence + 1))
    request = pb.WatchJobRequest(name=trained.name, after_sequence=trained.last_sequence)
    assert list(server.jobs.WatchJob(request, timeout=10)) == []


def test_trained_model_is_converted(
    server: RunningServer, prepared: Prepared, trained: pb.Job
) -> None:
    job = server.convert(SMALL, train_job=trained.name, evaluation_dataset=prepared.dataset)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job
    name = job.convert.model_version
    version = server.models.GetModelVersion(model_service_pb2.GetModelVersionRequest(name=name))
    assert version.job == job.name
    assert version.train_job == trained.name
    assert version.calibration == prepared.calibration
    assert version.sha256 == job.convert.sha256
    assert version.report == job.convert.report
    assert version.report.parity.max_difference == 0
    assert "portable" in version.report.parity.isas
    assert version.report.artifact_bytes == version.size_bytes
    assert 0 <= version.report.quantized_accuracy <= 1
    model = server.models.GetModel(model_service_pb2.GetModelRequest(name=SMALL))
    assert model.latest_version == name
    assert server.leftovers() == []


def test_same_inputs_convert_to_the_same_bytes(server: RunningServer, prepared: Prepared) -> None:
    first = server.convert(SMALL, calibration=prepared.calibration)
    second = server.convert(SMALL, calibration=prepared.calibration)
    assert first.convert.model_version != second.convert.model_version
    assert first.convert.sha256 == second.convert.sha256
    request = model_service_pb2.ListModelVersionsRequest(parent=SMALL, page_size=1)
    page = server.models.ListModelVersions(request)
    assert page.model_versions[0].name == second.convert.model_version
    assert page.next_page_token


def test_artifact_travels_to_another_model(server: RunningServer, prepared: Prepared) -> None:
    version = server.convert(SMALL, calibration=prepared.calibration).convert
    request = model_service_pb2.DownloadArtifactRequest(name=version.model_version)
    pieces = list(server.models.DownloadArtifact(request))
    data = b"".join(piece.data for piece in pieces)
    assert sha256(data) == version.sha256 == pieces[0].sha256
    assert len(data) == version.size_bytes == pieces[0].total_bytes

    rest = model_service_pb2.DownloadArtifactRequest(name=SMALL, read_offset=100)
    assert b"".join(p.data for p in server.models.DownloadArtifact(rest)) == data[100:]

    server.upload_model("finished", data, is_artifact=True)
    name = "models/finished/versions/1"
    served = server.models.GetModelVersion(model_service_pb2.GetModelVersionRequest(name=name))
    assert served.sha256 == version.sha256
    assert not served.HasField("report")
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate("models/finished", np.zeros((1, 1, 8, 8), np.float32))
    assert ending(caught.value) == (PRECONDITION, "MODEL_HAS_NO_FLOAT_WEIGHTS")


@pytest.mark.parametrize("offset", [-1, 1 << 40])
def test_offset_beyond_the_artifact_is_refused(
    server: RunningServer, prepared: Prepared, offset: int
) -> None:
    server.convert(SMALL, calibration=prepared.calibration)
    request = model_service_pb2.DownloadArtifactRequest(name=SMALL, read_offset=offset)
    with pytest.raises(grpc.RpcError) as caught:
        list(server.models.DownloadArtifact(request))
    assert ending(caught.value) == (INVALID, "INVALID_READ_OFFSET")


def test_plan_names_what_would_be_quantized(server: RunningServer, prepared: Prepared) -> None:
    before = job_count(server)
    plan = server.train(SMALL, prepared.calibration, prepared.dataset, validate_only=True)
    assert plan.name == ""
    assert plan.state == pb.JOB_STATE_UNSPECIFIED
    assert [node.op for node in plan.plan.nodes if node.is_quantized].count("conv2d") == 2
    converted = server.convert(SMALL, calibration=prepared.calibration, validate_only=True)
    assert converted.plan.nodes
    assert not converted.plan.HasField("parity")
    assert job_count(server) == before


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"model": "models/absent"}, MISSING, "MODEL_NOT_FOUND"),
        ({"calibration": "calibrations/absent"}, MISSING, "CALIBRATION_NOT_FOUND"),
        ({"dataset": "datasets/absent"}, MISSING, "DATASET_NOT_FOUND"),
        ({"dataset": ""}, INVALID, "INVALID_NAME"),
        ({"evaluation_dataset": "datasets/absent"}, MISSING, "DATASET_NOT_FOUND"),
        ({"config": optimization_pb.QATConfig(epochs=-1)}, INVALID, "INVALID_CONFIG"),
        ({"config": optimization_pb.QATConfig(learning_rate=-1)}, INVALID, "INVALID_CONFIG"),
        ({"config": optimization_pb.QATConfig(task_loss=9)}, INVALID, "INVALID_TASK_LOSS"),
        (
            {
                "config": optimization_pb.QATConfig(
                    task_loss=optimization_pb.TASK_LOSS_NONE, quantization_loss_weight=0
                )
            },
            INVALID,
            "NOTHING_TO_TRAIN",
        ),
        (
            {
                "config": optimization_pb.QATConfig(
                    optimizer=optimization_pb.OptimizerConfig(gradient_clip=float("nan"))
                )
            },
            INVALID,
            "INVALID_CONFIG",
        ),
        (
            {"config": optimization_pb.QATConfig(stages=optimization_pb.StageConfig(fine_tune=7))},
            INVALID,
            "INVALID_FINE_TUNE",
        ),
    ],
)
def test_bad_training_is_refused(
    server: RunningServer,
    prepared: Prepared,
    fields: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    before = job_count(server)
    arguments = {
        "model": SMALL,
        "calibration": prepared.calibration,
        "dataset": prepared.dataset,
        **fields,
    }
    with pytest.raises(grpc.RpcError) as caught:
        server.train(**arguments)
    assert ending(caught.value) == (code, reason)
    assert job_count(server) == before


def test_calibration_of_another_model_is_refused(server: RunningServer, prepared: Prepared) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.train(SMALL, prepared.other_calibration, prepared.dataset)
    assert ending(caught.value) == (PRECONDITION, "CALIBRATION_OF_OTHER_MODEL")
    failure = details(caught.value)[error_details_pb2.PreconditionFailure]
    assert failure.violations[0].type == "CALIBRATION_OF_OTHER_MODEL"
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL, calibration=prepared.other_calibration)
    assert ending(caught.value) == (PRECONDITION, "CALIBRATION_OF_OTHER_MODEL")


@pytest.mark.parametrize(
    ("name", "arrays", "reason"),
    [
        ("shape", {"inputs": np.zeros((8, 3, 8, 8), np.float32)}, "DATASET_SHAPE_MISMATCH"),
        ("labels", {"inputs": np.zeros((8, 1, 8, 8), np.float32)}, "LABELS_MISSING"),
        (
            "range",
            {"inputs": np.zeros((8, 1, 8, 8), np.float32), "labels": np.arange(8)},
            "LABELS_OUT_OF_RANGE",
        ),
        (
            "negative",
            {"inputs": np.zeros((8, 1, 8, 8), np.float32), "labels": np.full(8, -1)},
            "LABELS_OUT_OF_RANGE",
        ),
    ],
)
def test_dataset_that_does_not_fit_is_refused(
    server: RunningServer,
    prepared: Prepared,
    dataset_file: Callable[..., bytes],
    name: str,
    arrays: dict[str, np.ndarray],
    reason: str,
) -> None:
    labels = {} if name == "labels" or "labels" in arrays else {"labels": np.zeros(8, np.int64)}
    server.upload_dataset(f"unfit-{name}", dataset_file(**arrays, **labels))
    before = job_count(server)
    with pytest.raises(grpc.RpcError) as caught:
        server.train(SMALL, prepared.calibration, f"datasets/unfit-{name}")
    assert ending(caught.value) == (INVALID, reason)
    assert job_count(server) == before


def test_convert_needs_a_source(server: RunningServer, prepared: Prepared) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL)
    assert ending(caught.value) == (INVALID, "SOURCE_MISSING")
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL, train_job="jobs/absent")
    assert ending(caught.value) == (MISSING, "JOB_NOT_FOUND")
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL, calibration=prepared.calibration, wait_s=601)
    assert ending(caught.value) == (INVALID, "INVALID_WAIT")


def test_unknown_job_is_not_found(server: RunningServer) -> None:
    for call in (
        lambda: server.jobs.GetJob(pb.GetJobRequest(name="jobs/absent")),
        lambda: list(server.jobs.WatchJob(pb.WatchJobRequest(name="jobs/absent"))),
        lambda: server.jobs.CancelJob(pb.CancelJobRequest(name="jobs/absent")),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert ending(caught.value) == (MISSING, "JOB_NOT_FOUND")


def test_running_job_holds_its_inputs_until_it_is_cancelled(
    server: RunningServer, prepared: Prepared
) -> None:
    job = server.train(SMALL, prepared.calibration, prepared.dataset, config=long_config())
    queued = server.train(SMALL, prepared.calibration, prepared.dataset, config=long_config())
    with pytest.raises(grpc.RpcError) as caught:
        server.models.DeleteModel(model_service_pb2.DeleteModelRequest(name=SMALL))
    assert ending(caught.value) == (PRECONDITION, "MODEL_IN_USE")
    delete = dataset_service_pb2.DeleteDatasetRequest(name=prepared.dataset)
    with pytest.raises(grpc.RpcError) as caught:
        server.datasets.DeleteDataset(delete)
    assert ending(caught.value) == (PRECONDITION, "DATASET_IN_USE")
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL, train_job=job.name)
    assert ending(caught.value) == (PRECONDITION, "TRAIN_JOB_NOT_SUCCEEDED")

    cancelled = server.jobs.CancelJob(pb.CancelJobRequest(name=queued.name))
    assert cancelled.state == pb.JOB_STATE_CANCELLED
    events = server.jobs.WatchJob(pb.WatchJobRequest(name=job.name), timeout=120)
    states = []
    for event in events:
        states.append(event.state)
        if event.stage == pb.JOB_STAGE_QAT and pb.JOB_STATE_CANCELLING not in states:
            request = pb.CancelJobRequest(name=job.name, request_id=str(uuid.uuid4()))
            assert server.jobs.CancelJob(request).state == pb.JOB_STATE_CANCELLING
            server.jobs.CancelJob(request)
    assert states[-1] == pb.JOB_STATE_CANCELLED
    assert pb.JOB_STATE_CANCELLING in states
    with pytest.raises(grpc.RpcError) as caught:
        server.jobs.CancelJob(pb.CancelJobRequest(name=job.name))
    assert ending(caught.value) == (PRECONDITION, "JOB_ENDED")
    wait_until(lambda: server.leftovers() == [])


def test_same_request_id_starts_one_job(server: RunningServer, prepared: Prepared) -> None:
    request_id = str(uuid.uuid4())
    first = server.convert(SMALL, calibration=prepared.calibration, request_id=request_id)
    again = server.convert(SMALL, calibration=prepared.calibration, request_id=request_id, wait_s=1)
    assert again == first
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(
            SMALL,
            calibration=prepared.calibration,
            evaluation_dataset=prepared.dataset,
            request_id=request_id,
        )
    assert ending(caught.value) == (INVALID, "REQUEST_ID_REUSED")


def test_convert_without_wait_answers_at_once(server: RunningServer, prepared: Prepared) -> None:
    job = server.convert(SMALL, calibration=prepared.calibration, wait_s=0)
    assert job.state in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_RUNNING)
    assert server.wait_for(job.name).state == pb.JOB_STATE_SUCCEEDED


def job_count(server: RunningServer) -> int:
    return len(server.jobs.ListJobs(pb.ListJobsRequest(page_size=1000)).jobs)


@pytest.mark.parametrize("validate_only", [True, False])
def test_feature_without_a_layer_is_refused(
    server: RunningServer, prepared: Prepared, validate_only: bool
) -> None:
    features = [optimization_pb.FeatureDistance(pattern="absent.*")]
    config = optimization_pb.QATConfig(loss=optimization_pb.LossConfig(features=features))
    count = job_count(server)
    with pytest.raises(grpc.RpcError) as caught:
        server.train(
            SMALL,
            prepared.calibration,
            prepared.dataset,
            config=config,
            validate_only=validate_only,
        )
    assert ending(caught.value) == (INVALID, "PATTERN_MATCHES_NOTHING")
    info = details(caught.value)[error_details_pb2.ErrorInfo]
    assert info.metadata["pattern"] == "absent.*"
    assert job_count(server) == count


def test_a_plan_is_given_for_features_that_are_there(
    server: RunningServer, prepared: Prepared
) -> None:
    features = [optimization_pb.FeatureDistance(pattern="*")]
    config = optimization_pb.QATConfig(loss=optimization_pb.LossConfig(features=features))
    plan = server.train(
        SMALL, prepared.calibration, prepared.dataset, config=config, validate_only=True
    )
    assert plan.plan.nodes
