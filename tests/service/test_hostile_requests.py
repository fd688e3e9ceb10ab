"""Requests that are made to hurt: the answer is an error, and the server lives on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import grpc
import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from tests.python.test_engine_limits import padding_program
from tests.service.running_server import RunningServer, ending, tensor

PIXEL = np.ones((1, 1, 1, 1), np.float32)


@pytest.fixture(scope="module")
def model(server: RunningServer) -> str:
    """A model with a small input and an answer that grows fast with the batch."""
    data = encode_artifact(padding_program(padding=512))
    return server.upload_model("padded", data, is_artifact=True).name


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return ending(caught.value)


def test_artifact_with_huge_activations_cannot_exhaust_memory(server: RunningServer) -> None:
    data = encode_artifact(padding_program(channels=64, repeats=4))
    server.upload_model("huge", data, is_artifact=True)
    found = refusal(lambda: server.infer("models/huge", tensor(PIXEL)))
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "INFERENCE_TOO_LARGE")


def test_answer_beyond_the_message_limit_is_refused_with_a_reason(
    server: RunningServer, model: str
) -> None:
    batch = np.ones((70, 1, 1, 1), np.float32)
    found = refusal(lambda: server.infer(model, tensor(batch)))
    assert found == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ANSWER_TOO_LARGE")


def test_output_named_many_times_is_refused(server: RunningServer, model: str) -> None:
    found = refusal(lambda: server.infer(model, tensor(PIXEL), output_names=["c0"] * 1000))
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "OUTPUT_DUPLICATE")
    found = refusal(lambda: server.infer(model, tensor(PIXEL), output_names=["c0"] * 2000))
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_TENSORS")


def test_thousands_of_tensors_are_refused(server: RunningServer, model: str) -> None:
    found = refusal(lambda: server.infer(model, *[tensor(PIXEL)] * 2000))
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_MANY_TENSORS")


def test_worker_of_a_dead_server_ends_although_its_task_has_arrived() -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    worker = subprocess.run(
        [sys.executable, "-m", "smidgen_service.jobs.worker", dead],
        input=b"\x0e\0\0\0" + b"\0" * 8 + b'{"kind":"x"}  ',
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (worker.returncode, worker.stdout) == (1, b"")


def test_malformed_message_shows_no_exception_text(server: RunningServer) -> None:
    for method in ("InferenceService/Infer", "ModelService/GetModel", "JobService/WatchJob"):
        call = server.channel.unary_unary(f"/smidgen.v1.{method}")
        found = refusal(lambda call=call: call(b"\xff" * 50, timeout=10))
        assert found == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_MALFORMED")
    stream = server.channel.stream_unary("/smidgen.v1.ModelService/UploadModel")
    found = refusal(lambda: stream(iter([b"\xff" * 50]), timeout=10))
    assert found == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_MALFORMED")


def test_call_without_a_message_is_refused(server: RunningServer) -> None:
    """Of a call of one message grpc would wait for it although the client's side has ended."""
    for path in (
        "smidgen.v1.ModelService/ListModels",
        "smidgen.v1.JobService/WatchJob",
        "inference.GRPCInferenceService/ModelInfer",
        "grpc.health.v1.Health/Check",
    ):
        call = server.channel.stream_stream(f"/{path}")
        found = refusal(lambda call=call: list(call(iter(()), timeout=10)))
        assert found == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_MISSING")
