"""Calls of every method with messages that no client would send: each gets an error of its own.

The methods are those of the table of permissions, which has every one that a server serves. The
long form is `make fuzz`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fuzz.calls.conversations import Grounds, ServedTensor, conversations
from fuzz.calls.methods import called_methods
from fuzz.calls.rounds import play
from smidgen.v1 import model_service_pb2
from tests.service.running_server import RunningServer, start_server

ARTIFACT = (Path(__file__).parents[1] / "data" / "artifact-v4.smidgen").read_bytes()
CALLS = 24
"""Of each method."""
METHODS = called_methods()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = start_server(tmp_path_factory.mktemp("data") / "store", "--job-workers", "0")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def grounds(server: RunningServer) -> Grounds:
    """A model that computes, and one that calls may delete."""
    for model_id in ("net", "victim"):
        server.upload_model(model_id, ARTIFACT, is_artifact=True)
    request = model_service_pb2.GetModelVersionRequest(name="models/net/versions/1")
    (spec,) = server.models.GetModelVersion(request).inputs
    shape = tuple(max(extent, 1) for extent in spec.shape)
    sample = ServedTensor.of_ones(spec.name, shape)
    return Grounds("net", sample, ARTIFACT, "net", sample, ["victim", "models/victim"])


def test_no_call_shows_or_hurts_what_is_inside(server: RunningServer, grounds: Grounds) -> None:
    chance = random.Random(20)
    recipes = [(method, chance.randbytes(160)) for method in METHODS for _ in range(CALLS)]
    found = play(server.target, recipes, conversations(grounds), grounds.texts, patience_s=0.5)
    assert [str(fault) for fault in found.faults] == []
    assert {path for path, _ in found.endings} == {method.path for method in METHODS}
    assert found.endings.total() == len(recipes)
    health = health_pb2_grpc.HealthStub(server.channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert [line for line in server.logs() if line["level"] == "error"] == []
