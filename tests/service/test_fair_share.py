"""One tenant asks for more than a server can compute, another for little."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2

from smidgen.artifact import encode_artifact
from smidgen.v1 import inference_service_pb2, inference_service_pb2_grpc
from smidgen_service.security import identity_file
from smidgen_service.security.roles import Role
from tests.service.handlers.test_joining import EXAMPLE, PROGRAM
from tests.service.running_server import (
    FRONTS,
    RunningServer,
    details,
    ending,
    start_server,
    tensor,
)

QUEUE = 4
AT_ONCE = 16
REQUESTS = 12
SAMPLES = 8
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A file of identities, and a token of each tenant."""
    path = tmp_path_factory.mktemp("auth") / "auth.json"
    found = {}
    for tenant in ("greedy", "modest"):
        token = identity_file.create_token(
            path, tenant=tenant, roles=frozenset({Role.ADMIN}), now=datetime.now(tz=UTC)
        )
        found[tenant] = token.text
    return path, found


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, tokens: tuple[Path, dict[str, str]]
) -> Iterator[RunningServer]:
    flags = (
        *("--auth-file", str(tokens[0]), "--max-concurrent-inferences", "1"),
        # Processes divide it, and these clients share a connection, and so one process.
        *("--max-queued-inferences", str(QUEUE * FRONTS), "--job-workers", "0"),
    )
    running = start_server(tmp_path_factory.mktemp("data") / "store", *flags)
    for tenant in ("greedy", "modest"):
        running.send_as(tokens[1][tenant])
        running.upload_model("small", encode_artifact(PROGRAM), is_artifact=True)
    yield running
    running.stop()


class Caller:
    """Keeps several requests at a time on the way, and counts how they end."""

    def __init__(self, server: RunningServer, at_once: int, token: str = "") -> None:
        self.endings: Counter[tuple[grpc.StatusCode, str]] = Counter()
        self.hints = 0
        self._infer = inference_service_pb2_grpc.InferenceServiceStub(server.channel).Infer
        values = np.ones((SAMPLES, *EXAMPLE.shape[1:]), np.float32)
        self._request = inference_service_pb2.InferRequest(
            name="models/small", inputs=[tensor(values)]
        )
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(at_once)]

    def ask(self) -> None:
        """Makes one call."""
        try:
            self._infer(self._request, timeout=60, metadata=self._metadata)
        except grpc.RpcError as error:
            self.endings[ending(error)] += 1
            self.hints += error_details_pb2.RetryInfo in details(error)
        else:
            self.endings[grpc.StatusCode.OK, ""] += 1

    def _work(self) -> None:
        while not self._is_over.is_set():
            self.ask()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def test_the_overload_of_one_tenant_is_not_that_of_another(
    server: RunningServer, tokens: tuple[Path, dict[str, str]]
) -> None:
    modest = Caller(server, 0, tokens[1]["modest"])
    with Caller(server, AT_ONCE, tokens[1]["greedy"]) as greedy:
        while not greedy.endings[EXHAUSTED, "QUEUE_FULL"]:
            modest.ask()
        for _ in range(REQUESTS):
            modest.ask()
    assert set(modest.endings) == {(grpc.StatusCode.OK, "")}
    assert set(greedy.endings) == {(grpc.StatusCode.OK, ""), (EXHAUSTED, "QUEUE_FULL")}
    assert greedy.hints == greedy.endings[EXHAUSTED, "QUEUE_FULL"]


def test_a_request_that_waits_for_too_long_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    flags = ("--max-concurrent-inferences", "1", "--max-queue-ms", "1", "--job-workers", "0")
    server = start_server(tmp_path_factory.mktemp("data") / "store", *flags)
    try:
        server.upload_model("small", encode_artifact(PROGRAM), is_artifact=True)
        with Caller(server, AT_ONCE) as caller:
            for _ in range(REQUESTS):
                caller.ask()
    finally:
        server.stop()
    assert set(caller.endings) == {(grpc.StatusCode.OK, ""), (EXHAUSTED, "QUEUE_TIMEOUT")}
    assert caller.hints == caller.endings[EXHAUSTED, "QUEUE_TIMEOUT"]
