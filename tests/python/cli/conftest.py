from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from smidgen.cli.app import run
from tests.python.client.canned_server import CannedServer, State, fill


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert self.code == 0, self.err
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


Smidgen = Callable[..., Ended]


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
def offline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Smidgen:
    """Runs a command that finds no server."""
    monkeypatch.setenv("SMIDGEN_SERVER", "127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "200")

    def smidgen(*arguments: object) -> Ended:
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return smidgen


@pytest.fixture
def smidgen(offline: Smidgen, server: CannedServer, monkeypatch: pytest.MonkeyPatch) -> Smidgen:
    """Runs a command against the canned server."""
    monkeypatch.setenv("SMIDGEN_SERVER", server.target)
    return offline
