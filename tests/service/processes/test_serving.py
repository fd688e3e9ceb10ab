"""A server of two fronts: what reaches which of them, and what all of them know."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from smidgen.artifact import encode_artifact, load_artifact
from smidgen.config import Extent, Preprocessing
from smidgen.v1 import inference_service_pb2, inference_service_pb2_grpc, model_service_pb2_grpc
from smidgen.v1 import model_service_pb2 as pb
from smidgen_service.open_inference import inference_service_pb2 as open_pb
from tests.python.data.image_files import encode, pictures
from tests.service.handlers.test_joining import EXAMPLE, PROGRAM
from tests.service.processes import fronts
from tests.service.running_server import (
    EVERY_CALL_LOGGED,
    RunningServer,
    array,
    details,
    sha256,
    start_server,
    tensor,
)

FRONTS = 2
PICTURE = pictures(1, 11, 14)[0]
IMAGES = np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model_file: bytes) -> Iterator[RunningServer]:
    """Two fronts, and a model with two versions that was made through them."""
    running = start_server(
        tmp_path_factory.mktemp("fronts") / "store", *EVERY_CALL_LOGGED, "--processes", str(FRONTS)
    )
    try:
        running.upload_model("small", model_file)
        for scale in (1.0, 0.1):
            calibration = running.calibrate("models/small", IMAGES * scale).name
            job = running.convert("models/small", calibration=calibration)
            assert job.convert.model_version, job
        yield running
    finally:
        assert running.stop() == 0


@pytest.fixture(scope="module")
def both(server: RunningServer) -> Iterator[list[grpc.Channel]]:
    """A channel to each front."""
    with fronts.channels(server, FRONTS) as found:
        yield found


def infer(channel: grpc.Channel, name: str) -> tuple[str, np.ndarray]:
    stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
    request = inference_service_pb2.InferRequest(name=name, inputs=[tensor(IMAGES)])
    answer = stub.Infer(request, timeout=60)
    return answer.model_version, array(answer.outputs[0])


def set_alias(server: RunningServer, number: int, **fields: str) -> pb.Alias:
    request = pb.SetAliasRequest(
        name="models/small/aliases/live", model_version=f"models/small/versions/{number}", **fields
    )
    return server.models.SetAlias(request)


def open_call(channel: grpc.Channel, method: str, request: Message) -> bytes:
    call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
    return bytes(call(request.SerializeToString(), timeout=60))


def metric(server: RunningServer, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(server.metrics())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_both_fronts_answer_with_the_same_bytes(
    server: RunningServer, both: list[grpc.Channel]
) -> None:
    for number in (1, 2):
        answers = [infer(channel, f"models/small/versions/{number}") for channel in both]
        assert {version for version, _ in answers} == {f"models/small/versions/{number}"}
        np.testing.assert_array_equal(answers[0][1], answers[1][1])
    answered = Counter(
        entry["front"]
        for entry in server.logs()
        if entry["event"] == "rpc" and entry["method"] == "smidgen.v1.InferenceService/Infer"
    )
    assert min(answered[front] for front in range(FRONTS)) >= 2
    assert metric(server, "smidgen_processes") == FRONTS


def test_an_alias_is_elsewhere_for_all_fronts_at_once(
    server: RunningServer, both: list[grpc.Channel]
) -> None:
    set_alias(server, 1)
    loaded = metric(server, "smidgen_engine_loads_total")
    for number in (2, 1) * 5:
        set_alias(server, number, expected_version=f"models/small/versions/{3 - number}")
        for channel in both:
            assert infer(channel, "models/small/aliases/live")[0].endswith(f"/{number}")
    # Version 1 goes whenever nothing names it, and both fronts have it before it serves again.
    assert metric(server, "smidgen_engine_loads_total") == loaded + FRONTS * 5
    server.models.DeleteAlias(pb.DeleteAliasRequest(name="models/small/aliases/live"))


def test_no_answer_is_lost_while_an_alias_moves(
    server: RunningServer, both: list[grpc.Channel]
) -> None:
    set_alias(server, 1)
    is_over = threading.Event()

    def ask(channel: grpc.Channel) -> Counter[str]:
        answers: Counter[str] = Counter()
        while not is_over.is_set():
            answers[infer(channel, "models/small/aliases/live")[0]] += 1
        return answers

    with ThreadPoolExecutor(2 * FRONTS) as pool:
        asking = [pool.submit(ask, channel) for channel in both * 2]
        try:
            for number in (2, 1) * 3:
                set_alias(server, number, expected_version=f"models/small/versions/{3 - number}")
        finally:
            is_over.set()
    answers = sum((asked.result() for asked in asking), Counter())
    assert set(answers) <= {"models/small/versions/1", "models/small/versions/2"}
    server.models.DeleteAlias(pb.DeleteAliasRequest(name="models/small/aliases/live"))


def test_counts_are_sums(server: RunningServer, both: list[grpc.Channel]) -> None:
    labels = {"model": "small", "version": "2", "outcome": "ok"}
    before = metric(server, "smidgen_inference_requests_total", **labels)
    called = metric(server, "grpc_server_handled_total", grpc_method="Infer", grpc_code="OK")
    counted = statistics(both[0])
    for channel in both:
        for _ in range(3):
            infer(channel, "models/small/versions/2")
    assert metric(server, "smidgen_inference_requests_total", **labels) == before + 6
    calls = metric(server, "grpc_server_handled_total", grpc_method="Infer", grpc_code="OK")
    assert calls == called + 6
    again = statistics(both[1])
    assert again.inference_count == counted.inference_count + 6 * len(IMAGES)
    assert again.inference_stats.success.count == counted.inference_stats.success.count + 6


def statistics(channel: grpc.Channel) -> open_pb.ModelStatistics:
    request = open_pb.ModelStatisticsRequest(name="small", version="2")
    answer = open_pb.ModelStatisticsResponse.FromString(
        open_call(channel, "ModelStatistics", request)
    )
    return answer.model_stats[0]


def test_calls_that_are_handed_on_are_counted_once(server: RunningServer) -> None:
    labels = {"grpc_method": "ListModels", "grpc_code": "OK"}
    before = metric(server, "grpc_server_handled_total", **labels)
    server.models.ListModels(pb.ListModelsRequest())
    assert metric(server, "grpc_server_handled_total", **labels) == before + 1
    logged = [entry for entry in server.logs() if entry.get("method", "").endswith("/ListModels")]
    assert len(logged) == 1
    assert logged[0]["front"] in range(FRONTS)


def test_unloading_and_deleting_give_memory_back_in_all_fronts(
    server: RunningServer, both: list[grpc.Channel]
) -> None:
    server.upload_model("other", encode_artifact(PROGRAM), is_artifact=True)
    before = metric(server, "smidgen_loaded_engines"), metric(server, "smidgen_engine_bytes")
    for channel in both:
        ask_other(channel)
    loaded = metric(server, "smidgen_loaded_engines")
    assert loaded == before[0] + FRONTS
    assert metric(server, "smidgen_engine_bytes") > before[1]
    open_call(
        both[0], "RepositoryModelUnload", open_pb.RepositoryModelUnloadRequest(model_name="other")
    )
    assert metric(server, "smidgen_loaded_engines") == before[0]
    assert metric(server, "smidgen_engine_bytes") == before[1]
    for channel in both:
        with pytest.raises(grpc.RpcError) as caught:
            ask_other(channel)
        assert details(caught.value)[error_details_pb2.ErrorInfo].reason == "MODEL_UNLOADED"
    open_call(
        both[1], "RepositoryModelLoad", open_pb.RepositoryModelLoadRequest(model_name="other")
    )
    assert metric(server, "smidgen_loaded_engines") == loaded
    server.models.DeleteModel(pb.DeleteModelRequest(name="models/other"))
    assert metric(server, "smidgen_loaded_engines") == before[0]
    assert 'model="other"' not in server.metrics()
    for channel in both:
        with pytest.raises(grpc.RpcError) as caught:
            ask_other(channel)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def ask_other(channel: grpc.Channel) -> None:
    stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
    inputs = [tensor(EXAMPLE)]
    stub.Infer(inference_service_pb2.InferRequest(name="models/other", inputs=inputs), timeout=60)


def test_models_are_described_as_those_of_one_server(both: list[grpc.Channel]) -> None:
    request = open_pb.ModelConfigRequest(name="small")
    for channel in both:
        answer = open_call(channel, "ModelConfig", request)
        config = open_pb.ModelConfigResponse.FromString(answer).config
        assert config.instance_group[0].count == (os.cpu_count() or 1)
        index = open_call(channel, "RepositoryIndex", open_pb.RepositoryIndexRequest())
        listed = open_pb.RepositoryIndexResponse.FromString(index).models
        assert [(one.version, one.state) for one in listed] == [("1", "READY"), ("2", "READY")]


def test_images_are_decoded_for_each_front(
    server: RunningServer, both: list[grpc.Channel], tmp_path: Path
) -> None:
    request = pb.DownloadArtifactRequest(name="models/small/versions/1")
    pieces = server.models.DownloadArtifact(request)
    (tmp_path / "a").write_bytes(b"".join(piece.data for piece in pieces))
    program = load_artifact(tmp_path / "a")
    gray = Preprocessing(resize=Extent(8, 8), channels=1)
    artifact = encode_artifact(replace(program, preprocessing=gray))
    server.upload_model("gray", artifact, is_artifact=True)
    images = inference_service_pb2.InferRequest(name="models/gray", images=[encode(PICTURE)])
    answers = [
        inference_service_pb2_grpc.InferenceServiceStub(channel).Infer(images, timeout=60)
        for channel in both
    ]
    assert answers[0].outputs == answers[1].outputs
    # What confines a process takes the folder above these for the data directory.
    scratches = [path.name for path in (server.data_dir / "decoders").iterdir()]
    assert sorted(name[: len("front-0")] for name in scratches) == ["front-0", "front-1"]
    server.models.DeleteModel(pb.DeleteModelRequest(name="models/gray"))


def test_errors_and_request_ids_come_through(both: list[grpc.Channel]) -> None:
    for channel in both:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        metadata = (("x-request-id", "mine-1"),)
        with pytest.raises(grpc.RpcError) as caught:
            models.GetModel(pb.GetModelRequest(name="models/absent"), metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        found = details(caught.value)
        assert found[error_details_pb2.ErrorInfo].reason == "MODEL_NOT_FOUND"
        assert found[error_details_pb2.ResourceInfo].resource_name == "models/absent"
        assert found[error_details_pb2.RequestInfo].request_id == "mine-1"
        assert dict(caught.value.trailing_metadata())["x-request-id"] == "mine-1"
        _, call = models.ListModels.with_call(pb.ListModelsRequest(), metadata=metadata)
        assert dict(call.initial_metadata())["x-request-id"] == "mine-1"


def test_artifacts_are_downloaded_through_any_front(both: list[grpc.Channel]) -> None:
    request = pb.DownloadArtifactRequest(name="models/small/versions/2")
    files = []
    for channel in both:
        pieces = list(model_service_pb2_grpc.ModelServiceStub(channel).DownloadArtifact(request))
        files.append(b"".join(piece.data for piece in pieces))
        assert {piece.sha256 for piece in pieces} == {sha256(files[-1])}
    assert files[0] == files[1]


def test_health_and_streams_are_answered_by_each_front(both: list[grpc.Channel]) -> None:
    for channel in both:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="smidgen.v1.JobService")
        assert health.Check(request).status == health_pb2.HealthCheckResponse.SERVING
        request = open_pb.ModelInferRequest(model_name="small", model_version="1")
        request.inputs.add(name="image", datatype="FP32", shape=IMAGES.shape)
        request.raw_input_contents.append(IMAGES.tobytes())
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        answers = list(stream(iter([request.SerializeToString()] * 3), timeout=60))
        outputs = [
            open_pb.ModelStreamInferResponse.FromString(answer).infer_response for answer in answers
        ]
        assert [output.model_version for output in outputs] == ["1"] * 3


@pytest.mark.parametrize("processes", [1, 2])
def test_another_server_on_the_port_is_refused(
    server: RunningServer, tmp_path: Path, processes: int
) -> None:
    command = [sys.executable, "-m", "smidgen_service", "--data-dir", str(tmp_path / "other")]
    command += ["--port", str(server.port), "--processes", str(processes), "--metrics-port", "-1"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in found.stderr
