"""More requests than the server takes, and requests that may not wait."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from smidgen_service.open_inference import inference_service_pb2 as pb
from tests.python.program.small_programs import every_step_program
from tests.service.running_server import RunningServer, ending, start_server

SAMPLES = 4096  # some tens of milliseconds
REQUESTS = 12


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that computes one request at a time and lets another one wait."""
    running = start_server(
        tmp_path_factory.mktemp("busy") / "store",
        *("--max-concurrent-inferences", "1", "--max-queued-inferences", "1"),
    )
    try:
        running.upload_model("net", encode_artifact(every_step_program()), is_artifact=True)
        yield running
    finally:
        running.stop()


def flood(server: RunningServer, timeout_us: int) -> list[grpc.Future]:
    """Sends requests at once, and returns the calls when all have ended."""
    images = np.zeros((SAMPLES, 3, 8, 8), np.float32)
    request = pb.ModelInferRequest(model_name="net")
    request.inputs.add(name="image", datatype="FP32", shape=images.shape)
    request.raw_input_contents.append(images.tobytes())
    request.parameters["timeout"].int64_param = timeout_us
    rpc = server.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelInferResponse.FromString,
    )
    calls = [rpc.future(request, timeout=120) for _ in range(REQUESTS)]
    for call in calls:
        call.code()
    return calls


def test_full_queue_is_said_in_tritons_words(busy: RunningServer) -> None:
    calls = flood(busy, timeout_us=0)
    assert any(call.code() is grpc.StatusCode.OK for call in calls)
    refused = [call for call in calls if call.code() is not grpc.StatusCode.OK]
    assert refused
    for call in refused:
        assert ending(call) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert call.details().startswith("Exceeds maximum queue size: ")


def test_request_that_may_not_wait_is_refused_when_it_would(busy: RunningServer) -> None:
    calls = flood(busy, timeout_us=1)
    assert any(call.code() is grpc.StatusCode.OK for call in calls)
    late = [call for call in calls if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED]
    assert late
    for call in late:
        assert ending(call) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert call.details().startswith("Request timeout expired: ")
