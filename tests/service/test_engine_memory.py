"""A server within a budget of memory for its engines, with more models than fit."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from smidgen.program import Program
from smidgen.v1 import model_service_pb2 as pb
from tests.python.test_engine_memory import CHANNELS, wide_net
from tests.service.running_server import (
    ONE_PROCESS,
    RunningServer,
    details,
    ending,
    error_details_pb2,
    start_server,
    tensor,
)

MIB = 1 << 20
BUDGET = 40 * MIB
PIXELS = np.ones((1, CHANNELS, 8, 8), np.uint8)
NAMES = ("a", "b", "c")


def variant(number: int) -> Program:
    """Returns a network of some 14 MiB that is not the others."""
    net = wide_net()
    constants = dict(net.constants)
    constants["t0.bias"] = np.full(CHANNELS, number, np.int32)
    return replace(net, constants=constants)


def large() -> Program:
    """Returns a network that takes more than all may: of twice as wide layers."""
    net = wide_net()
    constants = dict(net.constants)
    for name, values in net.constants.items():
        if name.endswith("weight"):
            constants[name] = np.tile(values, (2, 2, 1, 1))
        else:
            constants[name] = np.tile(values, 2)
    tensors = {
        name: replace(info, shape=(None, 2 * CHANNELS, 8, 8)) for name, info in net.tensors.items()
    }
    return replace(net, tensors=tensors, constants=constants)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    flags = ("--engine-memory-bytes", str(BUDGET), "--max-concurrent-inferences", "1")
    running = start_server(tmp_path_factory.mktemp("data") / "store", *ONE_PROCESS, *flags)
    try:
        for number, name in enumerate(NAMES):
            artifact = encode_artifact(variant(number))
            running.upload_model(name, artifact, is_artifact=True)
        running.upload_model("large", encode_artifact(large()), is_artifact=True)
        yield running
    finally:
        running.stop()


def metric(server: RunningServer, name: str) -> float:
    lines = server.metrics().splitlines()
    return float(next(line for line in lines if line.startswith(f"smidgen_{name} ")).split()[1])


def resident_bytes(server: RunningServer) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def refusal(server: RunningServer, make: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        make()
    expected = (grpc.StatusCode.RESOURCE_EXHAUSTED, "ENGINE_TOO_LARGE")
    assert ending(caught.value) == expected
    return details(caught.value)[error_details_pb2.ErrorInfo].metadata


def test_more_models_than_fit_take_turns(server: RunningServer) -> None:
    for _ in range(2):
        for name in NAMES:
            server.infer(f"models/{name}", tensor(PIXELS))
            assert 0 < metric(server, "engine_bytes") <= BUDGET
    assert metric(server, "loaded_engines") == 2
    assert metric(server, "engine_loads_total") == 6
    assert metric(server, 'engine_evictions_total{reason="memory"}') == 4
    server.infer("models/c", tensor(PIXELS))  # which is still there
    assert metric(server, "engine_loads_total") == 6


def test_a_model_that_does_not_fit_at_all_is_refused(server: RunningServer) -> None:
    server.infer("models/a", tensor(PIXELS))
    loaded = metric(server, "engine_bytes")
    wide = np.ones((1, 2 * CHANNELS, 8, 8), np.uint8)
    found = refusal(server, lambda: server.infer("models/large", tensor(wide)))
    assert int(found["found"]) > BUDGET
    assert int(found["most"]) == BUDGET
    request = pb.SetAliasRequest(
        name="models/large/aliases/live", model_version="models/large/versions/1"
    )
    refusal(server, lambda: server.models.SetAlias(request))
    assert not server.models.ListAliases(pb.ListAliasesRequest(parent="models/large")).aliases
    assert metric(server, "engine_bytes") == loaded


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_of_a_deleted_model_goes_back_to_the_system(server: RunningServer) -> None:
    for name in ("a", "b"):
        server.infer(f"models/{name}", tensor(PIXELS))
    before, loaded = resident_bytes(server), metric(server, "engine_bytes")
    server.models.DeleteModel(pb.DeleteModelRequest(name="models/b"))
    freed = loaded - metric(server, "engine_bytes")
    assert freed > 13 * MIB
    assert before - resident_bytes(server) > 0.7 * freed
