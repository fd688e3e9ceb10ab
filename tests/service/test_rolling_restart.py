"""A client that goes on calling while the server is restarted loses no call.

The short form runs with all tests, the long one with `make soak`.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from smidgen.artifact import encode_artifact
from smidgen.client import Client, RemoteError
from tests.service.handlers.test_joining import EXAMPLE, PROGRAM
from tests.service.running_server import RunningServer, start_server

CALLERS = 8


class Load:
    """Callers who call one server, one after the other, until they are stopped."""

    def __init__(self, target: str) -> None:
        self.answered = 0
        self.failures: Counter[str] = Counter()
        self._client = Client(target, timeout_s=60, waits_for_server=True)
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._expected = self._client.infer("small", EXAMPLE).outputs
        self._callers = [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]
        for caller in self._callers:
            caller.start()

    def stop(self) -> None:
        """Lets all callers end their last call."""
        self._is_over.set()
        for caller in self._callers:
            caller.join()
        self._client.close()

    def wait_for_more(self, count: int) -> None:
        """Returns once so many more calls were answered."""
        wanted = self.answered + count
        while self.answered < wanted and not self.failures:
            assert any(caller.is_alive() for caller in self._callers)
            self._is_over.wait(0.01)

    def _call(self) -> None:
        while not self._is_over.is_set():
            failure = self._failure()
            with self._lock:
                if failure is None:
                    self.answered += 1
                else:
                    self.failures[failure] += 1

    def _failure(self) -> str | None:
        try:
            found = self._client.infer("small", EXAMPLE).outputs
        except RemoteError as error:
            return f"{error.code} {error.reason} {error.message}"
        is_same = all(np.array_equal(found[name], self._expected[name]) for name in self._expected)
        return None if is_same else "other bytes"


@pytest.mark.parametrize(
    "restarts", [2, pytest.param(10, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_no_call_is_lost(tmp_path: Path, restarts: int) -> None:
    server = start_server(tmp_path / "store", "--job-workers", "0")
    server.upload_model("small", encode_artifact(PROGRAM), is_artifact=True)
    load = Load(server.target)
    try:
        for _ in range(restarts):
            load.wait_for_more(20 * CALLERS)
            assert server.stop() == 0
            server = restarted(server)
        load.wait_for_more(20 * CALLERS)
    finally:
        load.stop()
        server.stop()
    assert not load.failures
    assert load.answered >= (restarts + 1) * 20 * CALLERS


def restarted(server: RunningServer) -> RunningServer:
    """Starts a successor at the same port."""
    return start_server(server.data_dir, "--job-workers", "0", "--port", str(server.port))
