from __future__ import annotations

from collections.abc import Iterator

import pytest

from smidgen.client import Client
from tests.python.client.canned_server import CannedServer, State, fill


@pytest.fixture
def state() -> State:
    state = State()
    fill(state)
    return state


@pytest.fixture
def server(state: State) -> Iterator[CannedServer]:
    server = CannedServer(state)
    yield server
    server.stop()


@pytest.fixture
def client(server: CannedServer) -> Iterator[Client]:
    with Client(server.target, timeout_s=10, stream_timeout_s=20) as client:
        yield client
