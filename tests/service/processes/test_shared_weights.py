"""Packed weights of two fronts: in memory once, whatever becomes of the fronts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from smidgen.engine import Engine
from smidgen.v1 import inference_service_pb2, inference_service_pb2_grpc
from smidgen.v1 import model_service_pb2 as pb
from smidgen_service.open_inference import inference_service_pb2 as open_pb
from tests.python.test_engine_memory import CHANNELS, wide_net
from tests.service.processes import fronts
from tests.service.processes.test_lost_processes import started, wait_until
from tests.service.processes.test_serving import metric, open_call
from tests.service.running_server import RunningServer, array, tensor

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs Linux's memfd")
PROGRAM = wide_net()
PIXELS = np.random.default_rng(0).integers(0, 256, (1, CHANNELS, 8, 8)).astype(np.uint8)
CYCLES = 20


@dataclass(frozen=True)
class Weights:
    """What a process has of shared weights, in bytes."""

    mapped: int
    shared: int
    private: int

    @classmethod
    def of(cls, pid: int) -> Weights:
        """Looks at a process."""
        sizes = {"Size": 0, "Shared_Clean": 0, "Shared_Dirty": 0, "Private_Clean": 0}
        sizes["Private_Dirty"] = 0
        is_weights = False
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            name, *rest = line.split()
            if not name.endswith(":"):
                is_weights = "memfd:smidgen-weights" in line
            elif is_weights and name[:-1] in sizes:
                sizes[name[:-1]] += int(rest[0]) << 10
        return cls(
            sizes["Size"],
            sizes["Shared_Clean"] + sizes["Shared_Dirty"],
            sizes["Private_Clean"] + sizes["Private_Dirty"],
        )


def descriptors(pid: int) -> list[str]:
    """Returns what the descriptors of a process are, without what is not always there."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(entry.readlink()).partition(":[")[0])
        except FileNotFoundError:
            continue
    return sorted(found)


def files_in_memory(server: RunningServer) -> int:
    """Returns how many files for weights the processes of a server hold."""
    processes = [server.process.pid, *fronts.pids(server)]
    return sum("memfd:smidgen-weights" in one for pid in processes for one in descriptors(pid))


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningServer]:
    running = started(tmp_path, *getattr(request, "param", ()))
    try:
        running.upload_model("wide", encode_artifact(PROGRAM), is_artifact=True)
        yield running
        assert running.stop() == 0
    finally:
        running.stop(signal.SIGKILL)


def answer(channel: grpc.Channel) -> bytes:
    stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
    request = inference_service_pb2.InferRequest(name="models/wide", inputs=[tensor(PIXELS)])
    (output,) = stub.Infer(request, timeout=60).outputs
    return array(output).tobytes()


def load(channel: grpc.Channel) -> None:
    request = open_pb.RepositoryModelLoadRequest(model_name="wide")
    open_call(channel, "RepositoryModelLoad", request)


def unload(channel: grpc.Channel) -> None:
    request = open_pb.RepositoryModelUnloadRequest(model_name="wide")
    open_call(channel, "RepositoryModelUnload", request)


def test_the_weights_of_two_fronts_are_there_once(server: RunningServer) -> None:
    engine = Engine(PROGRAM)
    (expected,) = engine.run({"x": PIXELS}).values()
    with fronts.channels(server, 2) as both:
        for channel in both:
            assert answer(channel) == expected.tobytes()
    page = os.sysconf("SC_PAGESIZE")
    size = -(-engine.shareable_bytes // page) * page
    for pid in fronts.pids(server):
        assert Weights.of(pid) == Weights(mapped=size, shared=size, private=0)
    assert files_in_memory(server) == 1
    assert metric(server, "smidgen_engine_shared_bytes") == 2 * engine.shareable_bytes
    assert metric(server, "smidgen_engine_bytes") > 2 * engine.shareable_bytes
    loaded = [entry for entry in server.logs() if entry["event"] == "engine_loaded"]
    assert [entry["shared_bytes"] for entry in loaded] == [engine.shareable_bytes] * 2
    server.models.DeleteModel(pb.DeleteModelRequest(name="models/wide"))
    wait_until(lambda: files_in_memory(server) == 0)
    assert all(Weights.of(pid).mapped == 0 for pid in fronts.pids(server))
    assert metric(server, "smidgen_engine_shared_bytes") == 0


@pytest.mark.parametrize("server", [("--no-share-weights",)], indirect=True)
def test_fronts_have_weights_of_their_own_if_told(server: RunningServer) -> None:
    with fronts.channels(server, 2) as both:
        assert answer(both[0]) == answer(both[1])
    assert files_in_memory(server) == 0
    assert all(Weights.of(pid).mapped == 0 for pid in fronts.pids(server))
    assert metric(server, "smidgen_engine_shared_bytes") == 0
    assert not [entry for entry in server.logs() if entry["event"] == "weights_not_shared"]


def test_weights_outlive_each_front(server: RunningServer) -> None:
    with fronts.channels(server, 2) as both:
        load(both[0])
        expected = answer(both[1])
        before = set(fronts.pids(server))
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: any(one["event"] == "front_started" for one in server.logs()))
        lost = next(one["front"] for one in server.logs() if one["event"] == "front_ended")
        assert answer(both[1 - lost]) == expected
        assert files_in_memory(server) == 1
    with fronts.channels(server, 2) as both:
        assert [answer(channel) for channel in both] == [expected, expected]
    after = fronts.pids(server)
    assert victim not in after
    for pid in after:
        weights = Weights.of(pid)
        assert weights.private == 0
        assert weights.shared == weights.mapped > 0
    assert files_in_memory(server) == 1


def test_nothing_is_left_of_weights_that_come_and_go(server: RunningServer) -> None:
    processes = [server.process.pid, *fronts.pids(server)]
    with fronts.channels(server, 2) as both:

        def held() -> list[list[str]]:
            return [descriptors(pid) for pid in processes]

        for channel in both:  # each has its connection to the control process from here on
            load(channel)
            unload(channel)
        wait_until(lambda: files_in_memory(server) == 0)
        before = held()
        for cycle in range(CYCLES):
            load(both[cycle % 2])
            assert files_in_memory(server) == 1
            assert all(Weights.of(pid).mapped > 0 for pid in processes[1:])
            unload(both[cycle % 2])
        wait_until(lambda: held() == before)
        assert all(Weights.of(pid).mapped == 0 for pid in processes[1:])
