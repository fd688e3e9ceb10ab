"""Calls that go on while no server serves."""

from __future__ import annotations

import threading
import time

import grpc
import pytest

from smidgen.client import Client, DeadlineExceededError, RemoteError, UnavailableError
from smidgen.client.calls import Caller
from tests.python.client.canned_server import CannedServer, State


class Answer(grpc.RpcError):
    """What a call raises."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return ""

    def trailing_metadata(self) -> tuple[()]:
        return ()


class Method:
    """Raises some codes and then answers."""

    def __init__(self, *codes: grpc.StatusCode) -> None:
        self.codes = list(codes)
        self.timeouts: list[float] = []

    def __call__(self, request: str, *, timeout: float, metadata: object, wait_for_ready: object):
        self.timeouts.append(timeout)
        if self.codes:
            raise Answer(self.codes.pop(0))
        return request


def caller(*, timeout_s: float = 60.0, waits_for_server: bool = True) -> Caller:
    return Caller("127.0.0.1:1", timeout_s, 60.0, waits_for_server=waits_for_server)


def test_more_refusals_than_grpc_repeats_are_ridden_out(server: CannedServer, state: State) -> None:
    state.unavailable_answers = 6
    with Client(server.target, waits_for_server=True) as client:
        assert client.get_model("digits").parameter_count == 42
    assert state.unavailable_answers == 0


def test_calls_that_a_stopping_server_cancelled_are_repeated() -> None:
    method = Method(grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert caller().unary(method, "answer") == "answer"
    assert method.timeouts == sorted(method.timeouts, reverse=True)
    assert 59 < method.timeouts[-1] < method.timeouts[0] == 60


@pytest.mark.parametrize("code", [grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE])
def test_nothing_is_repeated_unasked_or_when_there_is_no_time(code: grpc.StatusCode) -> None:
    for one in (caller(waits_for_server=False), caller(timeout_s=0.1)):
        method = Method(code)
        with pytest.raises(RemoteError) as caught:
            one.unary(method, "answer")
        assert caught.value.code == code.name
        assert len(method.timeouts) == 1


def test_other_errors_are_not_repeated() -> None:
    method = Method(grpc.StatusCode.RESOURCE_EXHAUSTED)
    with pytest.raises(RemoteError):
        caller().unary(method, "answer")
    assert len(method.timeouts) == 1


def test_a_closed_client_does_not_wait() -> None:
    one = caller()
    one.closed.set()
    with pytest.raises(UnavailableError):
        one.unary(Method(grpc.StatusCode.UNAVAILABLE), "answer")


def test_a_server_that_is_not_there_is_waited_for_until_the_deadline() -> None:
    with Client("127.0.0.1:1", timeout_s=1.0, waits_for_server=True) as client:
        started_s = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            client.get_model("digits")
        assert time.monotonic() - started_s > 0.9


def test_closing_ends_calls_that_wait() -> None:
    client = Client("127.0.0.1:1", waits_for_server=True)
    ended: list[BaseException] = []

    def call() -> None:
        try:
            client.get_model("digits")
        except RemoteError as error:
            ended.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()
    client.close()
    waiting.join(10)
    assert [error.code for error in ended] == ["CANCELLED"]
