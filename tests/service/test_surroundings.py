"""What is around handlers of all types, in a server of its own."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from smidgen.errors import InvalidTensorError
from smidgen_service import observers
from smidgen_service.admittance import WhileServing
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.logs import JsonFormatter
from smidgen_service.metrics import Metrics
from smidgen_service.observers import MOST_LOGGED_PER_SECOND, CallLog, RpcMetrics
from smidgen_service.surroundings import Surroundings, is_of_a_fault

SECRET = "/srv/secret/path"


class Service(grpc.GenericRpcHandler):
    """Methods that fail in every way."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.was_cancelled = asyncio.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        path = handler_call_details.method
        handler: Any = {
            "Fine": grpc.unary_unary_rpc_method_handler(self.fine),
            "Fault": grpc.unary_unary_rpc_method_handler(self.fault),
            "StreamFault": grpc.unary_stream_rpc_method_handler(self.stream_fault),
            "Known": grpc.stream_unary_rpc_method_handler(self.known),
            "Late": grpc.unary_unary_rpc_method_handler(self.late),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
        }[path.rsplit("/", 1)[1]]
        return self.surroundings.way(handler, path).handler

    async def fine(self, request: bytes, context: Any) -> bytes:
        return request

    async def fault(self, request: bytes, context: Any) -> bytes:
        raise KeyError(SECRET)

    async def stream_fault(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        raise KeyError(SECRET)

    async def known(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        async for _ in messages:
            raise InvalidTensorError("bad", reason="TENSOR_NOT_FINITE")
        return b""

    async def late(self, request: bytes, context: Any) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.was_cancelled.set()
        if request:
            raise InvalidTensorError("bad")
        await context.abort(grpc.StatusCode.NOT_FOUND)

    async def hang(self, request: bytes, context: Any) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        return b""

    async def echo(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message


class Harness:
    """A server with all observers around the service, and a channel to it."""

    def __init__(self) -> None:
        self.lifecycle = Lifecycle()
        self.lifecycle.phase = Phase.SERVING
        self.metrics = Metrics()
        self.service = Service(
            Surroundings((CallLog(), RpcMetrics(self.metrics)), (WhileServing(self.lifecycle),))
        )
        self.server = aio.server()
        self.server.add_generic_rpc_handlers((self.service,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    def handled(self, kind: str, name: str, code: str) -> float:
        labels = {"grpc_type": kind, "grpc_service": "t.T", "grpc_method": name, "grpc_code": code}
        value = self.metrics.registry.get_sample_value("grpc_server_handled_total", labels)
        return value or 0.0


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    running = Harness()
    await running.server.start()
    yield running
    await running.server.stop(None)


@pytest.fixture
async def channel(harness: Harness) -> AsyncIterator[aio.Channel]:
    async with aio.insecure_channel(f"127.0.0.1:{harness.port}") as opened:
        yield opened


async def test_unknown_errors_show_only_an_id(
    harness: Harness, channel: aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await channel.unary_unary("/t.T/Fault")(b"")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert SECRET not in repr(caught.value)
    assert "KeyError" not in repr(caught.value)
    record = next(entry for entry in caplog.records if entry.message == "call_fault")
    logged = json.loads(JsonFormatter().format(record))
    assert logged["error_id"] in str(caught.value.details())
    assert SECRET in logged["traceback"]
    assert harness.handled("unary", "Fault", "INTERNAL") == 1


async def test_errors_within_a_stream_end_it(harness: Harness, channel: aio.Channel) -> None:
    call = channel.unary_stream("/t.T/StreamFault")(b"")
    assert await call.read() == b"first"
    with pytest.raises(aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert harness.handled("server_stream", "StreamFault", "INTERNAL") == 1


async def test_known_errors_keep_their_reason(harness: Harness, channel: aio.Channel) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await channel.stream_unary("/t.T/Known")(iter([b""]))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    info = grpc_details(caught.value)
    assert info.reason == "TENSOR_NOT_FINITE"
    assert harness.handled("client_stream", "Known", "INVALID_ARGUMENT") == 1


@pytest.mark.parametrize("request_bytes", [b"", b"x"], ids=["abort of grpc", "error of ours"])
async def test_an_error_for_a_client_that_has_left_is_no_fault(
    harness: Harness,
    channel: aio.Channel,
    caplog: pytest.LogCaptureFixture,
    request_bytes: bytes,
) -> None:
    call = channel.unary_unary("/t.T/Late")(request_bytes, timeout=0.2)
    with pytest.raises(aio.AioRpcError):
        await call
    await asyncio.wait_for(harness.service.was_cancelled.wait(), 5)
    await harness.server.stop(5)  # the call has ended
    assert [entry.message for entry in caplog.records if is_of_a_fault(entry)] == []


async def test_cancellation_reaches_the_handler(harness: Harness, channel: aio.Channel) -> None:
    call = channel.unary_unary("/t.T/Hang")(b"", timeout=0.2)
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(harness.service.was_cancelled.wait(), 10)


async def test_messages_are_counted_both_ways(harness: Harness, channel: aio.Channel) -> None:
    call = channel.stream_stream("/t.T/Echo")(iter([b"a", b"b", b"c"]))
    assert [message async for message in call] == [b"a", b"b", b"c"]
    labels = {"grpc_type": "bidi_stream", "grpc_service": "t.T", "grpc_method": "Echo"}
    for name in ("grpc_server_msg_received_total", "grpc_server_msg_sent_total"):
        assert harness.metrics.registry.get_sample_value(name, labels) == 3


@pytest.mark.parametrize(
    ("phase", "reason"),
    [(Phase.STARTING, "SERVER_STARTING"), (Phase.DRAINING, "SERVER_DRAINING")],
)
async def test_calls_are_refused_unless_serving(
    harness: Harness, channel: aio.Channel, phase: Phase, reason: str
) -> None:
    harness.lifecycle.phase = phase
    with pytest.raises(aio.AioRpcError) as caught:
        await channel.unary_unary("/t.T/Fault")(b"")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert grpc_details(caught.value).reason == reason
    # Without headers a client's own retries apply to it.
    assert "x-request-id" not in dict(caught.value.initial_metadata() or ())


async def test_successful_calls_tell_ids_that_are_in_the_log_or_asked_for(
    channel: aio.Channel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="smidgen_service")
    caplog.handler.setFormatter(JsonFormatter())  # which knows the call while it is under way
    monkeypatch.setattr(observers, "time", SimpleNamespace(monotonic=lambda: 5.0))

    async def told_id(*metadata: tuple[str, str]) -> str | None:
        call = channel.unary_unary("/t.T/Fine")(b"", metadata=metadata)
        await call
        return dict(await call.trailing_metadata() or ()).get("x-request-id")

    told = [await told_id() for _ in range(MOST_LOGGED_PER_SECOND + 1)]
    logged = [json.loads(line)["request_id"] for line in caplog.text.splitlines()]
    assert told == [*logged, None]
    assert len(set(told)) == MOST_LOGGED_PER_SECOND + 1
    assert await told_id(("x-request-id", "mine")) == "mine"
    replacement = await told_id(("x-request-id", "not an id"))
    assert replacement is not None
    assert len(replacement) == 32


def test_logs_cut_long_text_and_escape_it() -> None:
    record = logging.LogRecord("n", logging.INFO, "", 0, "event", (), None)
    record.fields = {"model": 'a"\n' + "x" * 500, "nothing": None}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    document = json.loads(line)
    assert len(document["model"]) == 128
    assert "nothing" not in document


def grpc_details(error: aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = next(
        value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"
    )
    message = status_pb2.Status()
    message.ParseFromString(status)
    info = error_details_pb2.ErrorInfo()
    assert message.details[0].Unpack(info)
    return info
