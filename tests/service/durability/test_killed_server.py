"""A real server whose disk kills it, or fails once, while a client talks to it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen_service.data_dir import DataDir
from tests.service.durability.cheap_worker import ARTIFACT
from tests.service.durability.client import FIRST, SECOND
from tests.service.durability.faulty_disk import FAULTS, KILL, TEAR, Fault, environment
from tests.service.durability.stored_state import faults_of, stored_state
from tests.service.running_server import (
    RunningServer,
    chunks,
    ending,
    model_header,
    model_messages,
    sha256,
    start_server,
    tensor,
)
from tests.service.test_uploads import wait_until

# Calls of the disk, the first from the server's start on, the others from where it serves.
STARTING = 30
POINTS = ((TEAR, 9), (KILL, 52))
MORE_POINTS = tuple((fault, number) for number in range(3, 75, 8) for fault in (KILL, TEAR))
FAILURES = (("ENOSPC", 3), ("EIO", 30))
PIXEL = np.ones((1, 1, 1, 1), np.float32)
_TRANSIENT = {"STORAGE_FULL", "STORAGE_FAULT"}


@dataclass
class StubbornClient:
    """Makes each call until it is answered, and starts a server that is gone again."""

    store: Path
    server: RunningServer | None = None
    starts: int = 0
    reasons: list[str] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)

    def start(self, variables: dict[str, str] | None) -> None:
        """Starts a server; one that is killed before it serves is started again without fault."""
        self.starts += 1
        try:
            self.server = start_server(self.store, environment=variables)
        except RuntimeError:
            assert variables is not None, "a server without faults does not start"
            self.start(None)
        else:
            if variables is None:
                self.recoveries_s.append(_recovery_s(self.server))

    def call(self, make: Callable[[RunningServer], Any]) -> Any:
        """Returns the answer to a call, however often it must be sent."""
        for _ in range(5):
            assert self.server is not None
            try:
                return make(self.server)
            except grpc.RpcError as error:
                if self.server.process.poll() is None and not _is_dying(self.server):
                    _, reason = ending(error)
                    assert reason in _TRANSIENT, reason
                    self.reasons.append(reason)
                else:
                    self.server.stop()
                    self.start(None)
        raise AssertionError("the call is never answered")


def _is_dying(server: RunningServer) -> bool:
    """Tells whether the process ends in a moment: the connection breaks before it is gone."""
    for _ in range(50):
        if server.process.poll() is not None:
            return True
        time.sleep(0.01)
    return False


def _recovery_s(server: RunningServer) -> float:
    """Returns the time from the first line of the log until the server serves."""
    wait_until(lambda: "server_started" in server.log_path.read_text())
    times = {line["event"]: datetime.fromisoformat(line["ts"]) for line in server.logs()}
    return (times["server_started"] - times["worker_sandbox"]).total_seconds()


def upload(dataset_id: str, data: bytes, request_id: str) -> Callable[[RunningServer], Any]:
    def make(server: RunningServer) -> Any:
        header = datasets_pb.UploadDatasetHeader(
            dataset_id=dataset_id,
            format=datasets_pb.DATASET_FORMAT_NPZ,
            total_bytes=len(data),
            sha256=sha256(data),
            request_id=request_id,
        )
        start = committed(server, request_id)
        messages = [datasets_pb.UploadDatasetRequest(header=header)]
        messages += [
            datasets_pb.UploadDatasetRequest(chunk=chunk) for chunk in chunks(data, start, 2000)
        ]
        return server.datasets.UploadDataset(iter(messages))

    return make


def committed(server: RunningServer, request_id: str) -> int:
    request = models_pb.GetUploadRequest(name=f"uploads/{request_id}")
    try:
        return int(server.models.GetUpload(request).committed_bytes)
    except grpc.RpcError as error:
        if error.code() == grpc.StatusCode.NOT_FOUND:
            return 0
        raise


def calls() -> Iterator[Callable[[RunningServer], Any]]:
    """Yields what the client does, each with a request id of its own."""
    ids = [str(uuid.uuid4()) for _ in range(5)]

    def upload_model(server: RunningServer) -> Any:
        header = model_header("m", ARTIFACT, is_artifact=True, request_id=ids[0])
        start = committed(server, ids[0])
        return server.models.UploadModel(model_messages(header, ARTIFACT, start))

    yield upload("first", FIRST, ids[1])
    yield upload_model
    yield upload("second", SECOND, ids[2])
    yield lambda server: server.infer("models/m", tensor(PIXEL))
    yield lambda server: server.models.SetAlias(
        models_pb.SetAliasRequest(
            name="models/m/aliases/live", model_version="models/m/versions/1", request_id=ids[4]
        )
    )
    yield lambda server: server.datasets.DeleteDataset(
        datasets_pb.DeleteDatasetRequest(name="datasets/first", request_id=ids[3])
    )


def run(
    library: Path, folder: Path, fault: Fault, number: int, *, starting: bool = False
) -> StubbornClient:
    """Lets the client do all it does, and checks what is stored in the end."""
    gate, hit = folder / "serves", folder / "hit"
    variables = environment(
        library, folder / "store", fault, number, hit, None if starting else gate
    )
    client = StubbornClient(folder / "store")
    client.start(variables)
    gate.touch()
    answers = [client.call(make) for make in calls()]
    assert client.server is not None
    assert client.server.stop() == 0
    data_dir = DataDir(folder / "store")
    assert faults_of(data_dir) == []
    state = stored_state(data_dir)
    assert state["models"] == [("m", answers[1].sha256)]
    assert state["versions"] == [("m", 1, sha256(ARTIFACT))]
    assert state["aliases"] == [("m", "live", 1)]
    assert state["alias_moves"] == [(1, None, 0)]
    assert state["datasets"] == [("second", sha256(SECOND))]
    assert state["blobs"] == sorted({sha256(ARTIFACT), sha256(SECOND)})
    assert state["uploads"] == state["leftovers"] == []
    assert max(client.recoveries_s, default=0.0) < 2.0
    assert hit.exists()
    return client


def check_kills(library: Path, folder: Path, points: Sequence[tuple[Fault, int]]) -> None:
    for index, (fault, number) in enumerate(points):
        place = folder / str(index)
        place.mkdir()
        client = run(library, place, fault, number)
        assert (client.starts, client.reasons) == (2, []), number


def test_server_that_is_killed_as_it_starts_starts_again(library: Path, folder: Path) -> None:
    assert run(library, folder, KILL, STARTING, starting=True).starts == 2


def test_killed_server_has_done_what_it_answered(library: Path, folder: Path) -> None:
    check_kills(library, folder, POINTS)


@pytest.mark.soak
def test_killed_server_has_done_what_it_answered_at_more_points(
    library: Path, folder: Path
) -> None:
    check_kills(library, folder, MORE_POINTS)


@pytest.mark.parametrize(("name", "number"), FAILURES)
def test_server_goes_on_after_a_fault_of_its_disk(
    library: Path, folder: Path, name: str, number: int
) -> None:
    client = run(library, folder, FAULTS[name], number)
    assert client.starts == 1
    assert len(client.reasons) == 1
