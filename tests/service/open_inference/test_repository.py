"""Loading, unloading and stopping, seen from both protocols of the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from smidgen.artifact import encode_artifact
from smidgen.v1 import model_service_pb2
from smidgen_service.open_inference import inference_service_pb2 as pb
from tests.service.open_inference import programs
from tests.service.running_server import (
    FRONTS,
    RunningServer,
    array,
    ending,
    start_server,
    tensor,
)

VALUES = np.array([[1, 2, 3, 4]], np.float32)
ARTIFACT = encode_artifact(programs.scores())


def call(server: RunningServer, method: str, request: Message, answer: type[Message]) -> Any:
    rpc = server.channel.unary_unary(
        f"/inference.GRPCInferenceService/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return rpc(request, timeout=60)


def load(server: RunningServer, name: str) -> None:
    request = pb.RepositoryModelLoadRequest(model_name=name)
    call(server, "RepositoryModelLoad", request, pb.RepositoryModelLoadResponse)


def unload(server: RunningServer, name: str) -> None:
    request = pb.RepositoryModelUnloadRequest(model_name=name)
    call(server, "RepositoryModelUnload", request, pb.RepositoryModelUnloadResponse)


def is_ready(server: RunningServer, name: str) -> bool:
    ready: bool = call(
        server, "ModelReady", pb.ModelReadyRequest(name=name), pb.ModelReadyResponse
    ).ready
    return ready


def engines(server: RunningServer) -> float:
    lines = server.metrics().splitlines()
    return float(
        next(line for line in lines if line.startswith("smidgen_loaded_engines")).split()[1]
    )


def test_unloaded_models_stay_so_until_they_are_loaded(tmp_path: Path) -> None:
    server = start_server(tmp_path / "store")
    try:
        server.upload_model("scores", ARTIFACT, is_artifact=True)
        server.infer("models/scores", tensor(VALUES))
        assert engines(server) == 1
        unload(server, "scores")
        assert engines(server) == 0
        with pytest.raises(grpc.RpcError) as caught:
            server.infer("models/scores", tensor(VALUES))
        assert ending(caught.value) == (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_UNLOADED")
    finally:
        server.stop()
    server = start_server(tmp_path / "store")
    try:
        assert not is_ready(server, "scores")
        load(server, "scores")
        assert engines(server) == FRONTS
        assert is_ready(server, "scores")
        answer = server.infer("models/scores", tensor(VALUES))
        np.testing.assert_array_equal(array(answer.outputs[0]), -VALUES)
        # What is deleted and comes back is a new model: in service, and nothing counted.
        unload(server, "scores")
        server.models.DeleteModel(model_service_pb2.DeleteModelRequest(name="models/scores"))
        server.upload_model("scores", ARTIFACT, is_artifact=True)
        assert is_ready(server, "scores")
        request = pb.ModelStatisticsRequest(name="scores")
        stats = call(server, "ModelStatistics", request, pb.ModelStatisticsResponse).model_stats
        assert stats[0].execution_count == 0
    finally:
        server.stop()


def test_open_stream_does_not_hold_up_the_end_of_the_server(tmp_path: Path) -> None:
    server = start_server(tmp_path / "store", "--drain-seconds", "60")
    release = threading.Event()
    request = pb.ModelInferRequest(model_name="scores", id="one")
    request.inputs.add(name="INPUT", datatype="FP32", shape=VALUES.shape)
    request.raw_input_contents.append(VALUES.tobytes())

    def requests() -> Iterator[pb.ModelInferRequest]:
        yield request
        release.wait(60)

    try:
        server.upload_model("scores", ARTIFACT, is_artifact=True)
        stream = server.channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )(requests())
        assert next(stream).infer_response.id == "one"
        server.process.terminate()
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert ending(caught.value) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
        assert caught.value.details().startswith("Server not ready: ")
        assert server.process.wait(timeout=20) == 0
    finally:
        release.set()
        server.stop()


def test_health_metrics_and_reflection_know_the_service(server: RunningServer) -> None:
    name = "inference.GRPCInferenceService"
    health = health_pb2_grpc.HealthStub(server.channel)
    found = health.Check(health_pb2.HealthCheckRequest(service=name))
    assert found.status == health_pb2.HealthCheckResponse.SERVING
    assert f'grpc_service="{name}"' in server.metrics()
    reflected = DescriptorPool(ProtoReflectionDescriptorDatabase(server.channel))
    methods = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    assert reflected.FindServiceByName(name).methods_by_name.keys() == methods.keys()
