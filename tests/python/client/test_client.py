from __future__ import annotations

import json

import numpy as np
import pytest

from smidgen.client import Client, RemoteError, requests
from smidgen.client.channel import MAX_MESSAGE_BYTES, service_config
from smidgen.config import (
    CalibrationConfig,
    ConversionConfig,
    GateConfig,
    ObserverMethod,
    PostTrainingConfig,
    QATConfig,
    TaskLoss,
)
from smidgen.errors import InvalidConfigError, InvalidTensorError
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from tests.python.client.canned_server import CannedServer, State

IMAGES = np.arange(8, dtype=np.float32).reshape(2, 4)


def test_infer_returns_arrays_and_how_they_came_about(client: Client, state: State) -> None:
    result = client.infer("digits", {"image": IMAGES}, output_names=["logits"])
    np.testing.assert_array_equal(result["logits"], 2 * IMAGES)
    with pytest.raises(KeyError, match="no output 'output' was returned, only logits"):
        result["output"]
    assert list(result.outputs) == ["logits"]
    assert result.isa == "avx2"
    assert result.model_version == "models/digits/versions/2"
    assert (result.queue_time_s, result.compute_time_s) == (0.25, 1.0)
    assert state.last_request.name == "models/digits"
    assert state.last_request.inputs[0].name == "image"
    assert list(state.last_request.output_names) == ["logits"]


def test_infer_takes_one_array_and_a_version(client: Client, state: State) -> None:
    np.testing.assert_array_equal(
        client.infer("digits", IMAGES, version=1)["logits"], IMAGES + IMAGES
    )
    assert state.last_request.name == "models/digits/versions/1"
    assert state.last_request.inputs[0].name == ""


def test_large_messages_pass_and_are_retried(client: Client, state: State) -> None:
    state.unavailable_answers = 1
    large = np.ones((3, 1024, 1024), np.float32)
    assert float(client.infer("digits", large)["logits"].sum()) == 2 * large.size


def test_messages_that_no_server_takes_are_refused_here(client: Client) -> None:
    with pytest.raises(InvalidTensorError) as caught:
        client.infer("digits", np.zeros(MAX_MESSAGE_BYTES // 4, np.float32))
    assert caught.value.reason == "TENSOR_TOO_LARGE"
    assert caught.value.metadata["expected"] == str(MAX_MESSAGE_BYTES)


def test_calibrate_streams_batches(client: Client, state: State) -> None:
    batches = (IMAGES + number for number in range(3))
    calibration = client.calibrate("digits", batches, method=ObserverMethod.MOVING_AVERAGE)
    assert (calibration.sample_count, calibration.batch_count) == (6, 3)
    (header,) = state.calibrate_headers
    assert header.model == "models/digits"
    assert header.method == optimization_pb.OBSERVER_METHOD_MOVING_AVERAGE
    assert header.averaging_constant == 0.1
    assert header.dataset == ""
    assert np.frombuffer(state.batches[2].inputs[0].data, np.float32)[0] == 2.0


@pytest.mark.parametrize("batches", [0, 1, 3])
@pytest.mark.parametrize("is_iterator", [True, False])
def test_the_last_message_of_a_calibration_is_marked(batches: int, is_iterator: bool) -> None:
    header = requests.calibrate_header("m", CalibrationConfig())
    assert header.header.marks_last
    samples = [np.full((1, 2), number, np.float32) for number in range(batches)]
    sent = list(requests.calibrate_requests(header, iter(samples) if is_iterator else samples))
    marks = [message.is_last for message in sent]
    assert marks == [False] * (len(sent) - 1) + [True]
    values = [message.batch.inputs[0].data for message in sent if message.HasField("batch")]
    assert values == [sample.tobytes() for sample in samples]
    # One without a part is for the case alone that an iterator turns out to have nothing.
    parts = [message.WhichOneof("part") for message in sent]
    assert parts == ["header", *["batch"] * batches, *[None] * (is_iterator and not batches)]


def test_calibrate_on_a_stored_dataset_sends_no_batch(client: Client, state: State) -> None:
    method = ObserverMethod.MOVING_AVERAGE
    client.calibrate_on_dataset("digits", "train", method=method, averaging_constant=0.5)
    (header,) = state.calibrate_headers
    assert header.dataset == "datasets/train"
    assert header.averaging_constant == 0.5
    assert state.batches == []


def test_calibrations_are_merged_without_samples(client: Client, state: State) -> None:
    method = ObserverMethod.PERCENTILE
    client.calibrate("digits", (), method=method, percentile=99.0, bases=["c1", "calibrations/c2"])
    (header,) = state.calibrate_headers
    assert header.base_calibrations == ["calibrations/c1", "calibrations/c2"]
    assert header.method == optimization_pb.OBSERVER_METHOD_PERCENTILE
    assert header.percentile == 99.0
    assert state.batches == []


def test_calibrate_refuses_a_bad_option_before_calling(client: Client, state: State) -> None:
    with pytest.raises(InvalidConfigError):
        client.calibrate("digits", [], averaging_constant=2.0)
    assert state.calibrate_headers == []


def test_train_qat_sends_every_option(client: Client, state: State) -> None:
    config = QATConfig(
        epochs=3,
        fine_tune_epochs=0,
        batch_size=8,
        learning_rate=0.01,
        task_loss=TaskLoss.MSE,
        quantization_loss_weight=0.0,
        evaluation_fraction=0.0,
        seed=-5,
    )
    job = client.train_qat("digits", calibration="c1", dataset="train", config=config)
    assert job.name == "jobs/train"
    request = state.last_request
    assert request.name == "models/digits"
    assert request.calibration == "calibrations/c1"
    assert request.dataset == "datasets/train"
    assert request.evaluation_dataset == ""
    assert len(request.request_id) == 36
    sent = request.config
    assert (sent.epochs, sent.batch_size, sent.seed) == (3, 8, -5)
    assert (sent.learning_rate, sent.fine_tune_learning_rate) == (0.01, 0.0)
    assert sent.task_loss == optimization_pb.TASK_LOSS_MSE
    for explicit_zero in ("fine_tune_epochs", "quantization_loss_weight", "evaluation_fraction"):
        assert sent.HasField(explicit_zero)
        assert getattr(sent, explicit_zero) == 0


def test_convert_says_what_to_do_to_the_weights(client: Client, state: State) -> None:
    options = ConversionConfig(PostTrainingConfig(equalize=True))
    client.convert("digits", calibration="c1", config=options, calibration_dataset="train")
    request = state.last_request
    assert request.post_training == optimization_pb.PostTrainingConfig(equalize=True)
    assert request.calibration_dataset == "datasets/train"
    client.convert("digits", calibration="c1")
    assert not state.last_request.HasField("post_training")


def test_convert_sends_limits(client: Client, state: State) -> None:
    limits = ConversionConfig(gate=GateConfig(max_drop=0.0))
    client.convert("digits", calibration="c1", config=limits)
    sent = state.last_request.gate
    assert (sent.HasField("max_drop"), sent.max_drop) == (True, 0.0)
    assert not sent.HasField("min_sqnr_db")
    client.convert("digits", calibration="c1", config=ConversionConfig())
    assert not state.last_request.HasField("gate")


def test_convert_from_a_calibration_and_from_a_job(client: Client, state: State) -> None:
    job = client.convert("digits", calibration="c1", wait_s=1.5, evaluation_dataset="test")
    assert job.convert.model_version == "models/digits/versions/2"
    assert state.last_request.calibration == "calibrations/c1"
    assert state.last_request.wait.ToMilliseconds() == 1500
    assert state.last_request.evaluation_dataset == "datasets/test"
    client.convert("digits", train_job="jobs/train")
    assert state.last_request.WhichOneof("source") == "train_job"
    assert state.last_request.train_job == "jobs/train"
    assert client.convert("digits", calibration="c1", validate_only=True).plan.float_bytes == 4000


def test_convert_wants_one_source_and_quantized_models_none(client: Client, state: State) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        client.convert("digits", calibration="c", train_job="j")
    assert caught.value.reason == "CONVERT_SOURCE_INVALID"
    client.convert("digits")
    assert state.last_request.WhichOneof("source") is None


def test_lists_walk_through_all_pages(client: Client, state: State) -> None:
    for letter in "abcd":
        state.models[f"models/{letter}"] = models_pb.Model(name=f"models/{letter}")
    names = [model.name for model in client.list_models()]
    assert names == ["models/a", "models/b", "models/c", "models/d", "models/digits"]


def test_resources_by_id_and_by_name(client: Client, state: State) -> None:
    assert client.get_model("digits") == client.get_model("models/digits")
    assert client.get_version("digits").name == "models/digits/versions/2"
    assert client.get_version("digits/versions/2") == client.get_version("digits", 2)
    assert [version.name for version in client.list_versions("digits")] == [
        "models/digits/versions/2"
    ]
    assert client.get_job("train").train_qat.best_epoch == 2
    assert {job.name for job in client.list_jobs()} == {"jobs/train", "jobs/convert"}
    client.calibrate("digits", [IMAGES])
    assert client.get_calibration("c1").ranges[0].zero_point == 100
    assert [calibration.name for calibration in client.list_calibrations()] == ["calibrations/c1"]


def test_a_model_without_versions_is_named(client: Client, state: State) -> None:
    state.models["models/digits"].latest_version = ""
    with pytest.raises(RemoteError) as caught:
        client.get_version("digits")
    assert caught.value.reason == "MODEL_NOT_CONVERTED"
    assert caught.value.metadata == {"name": "models/digits"}


def test_aliases_move_from_where_they_are_expected(client: Client, state: State) -> None:
    made = client.set_alias("digits", "live", 2, max_drop=0.0)
    assert state.last_request.condition.max_drop == 0.0
    assert state.last_request.HasField("condition")
    moved = client.set_alias("digits", "live", "staging", etag=made.etag)
    assert moved.model_version == "models/digits/aliases/staging"
    with pytest.raises(RemoteError) as caught:
        client.set_alias("digits", "models/digits/aliases/live", "3", expected_version=7)
    assert caught.value.reason == "ALIAS_MOVED"
    assert state.last_request.model_version == "models/digits/versions/3"
    assert state.last_request.expected_version == "models/digits/versions/7"
    back = client.rollback_alias("digits", "live")
    assert state.last_request.etag == moved.etag
    assert back.model_version == made.model_version
    assert client.get_alias("digits", "live") == back
    assert list(client.list_aliases("digits")) == [back]
    client.rollback_alias("digits", "live", expected_version=2, validate_only=True)
    assert (state.last_request.etag, state.last_request.validate_only) == ("", True)
    client.delete_alias("digits", "live")
    assert len(state.last_request.request_id) == 36
    assert state.aliases == {}


def test_delete_sends_a_request_id(client: Client, state: State) -> None:
    client.delete_model("digits")
    assert state.models == {}
    assert len(state.last_request.request_id) == 36


def test_cancel(client: Client, state: State) -> None:
    state.jobs["jobs/train"].state = jobs_pb.JOB_STATE_RUNNING
    assert client.cancel_job("train").state == jobs_pb.JOB_STATE_CANCELLED


def test_stop_and_resume(client: Client, state: State) -> None:
    state.jobs["jobs/train"].state = jobs_pb.JOB_STATE_RUNNING
    stopped = client.cancel_job("train", save_checkpoint=True)
    assert stopped.state == jobs_pb.JOB_STATE_INTERRUPTED
    assert client.resume_job("train").state == jobs_pb.JOB_STATE_QUEUED
    assert len(state.last_request.request_id) == 36


def test_delete_job(client: Client, state: State) -> None:
    client.delete_job("train")
    assert "jobs/train" not in state.jobs
    assert len(state.last_request.request_id) == 36


def test_every_method_but_the_uploads_is_retried_on_unavailable_alone() -> None:
    config = json.loads(service_config())
    (rule,) = config["methodConfig"]
    assert rule["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    methods = {f"{name['service']}/{name['method']}" for name in rule["name"]}
    assert "smidgen.v1.InferenceService/Infer" in methods
    assert "smidgen.v1.OptimizationService/TrainQAT" in methods
    assert not {method for method in methods if "Upload" in method} - {
        "smidgen.v1.ModelService/GetUpload"
    }


def test_client_says_where_it_calls(server: CannedServer) -> None:
    with Client(server.target) as client:
        assert repr(client) == f"Client('{server.target}')"
