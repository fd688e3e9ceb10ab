"""What is refused by the headers of a call alone."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import cast

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import aio
from grpc_health.v1 import health_pb2

from smidgen.errors import InvalidTensorError
from smidgen_service.expectation import EXPECTED, Expectation
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.metrics import Metrics
from smidgen_service.routing import MOST_METADATA_BYTES, Router
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.gate import Gate
from smidgen_service.shares import Shares
from smidgen_service.surroundings import Surroundings
from tests.service.security.served import registry_of_the_server

CHECK = "/grpc.health.v1.Health/Check"
# More than ours: what grpc refuses itself never comes here.
LIMITS = tuple((f"grpc.{kind}max_metadata_size", 1 << 16) for kind in ("", "absolute_"))


@pytest.fixture
async def channel() -> AsyncIterator[aio.Channel]:
    """To a server that takes the health of its parts, and has nothing behind its other methods."""
    server = aio.server(options=LIMITS)
    gate = Gate(Authenticator(None, asks_for_certificates=False), Metrics())
    methods = registry_of_the_server().methods
    router = Router(gate, Surroundings(()), Lifecycle(), Shares(99), methods, silence_s=60.0)
    server.add_generic_rpc_handlers((router,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}", options=LIMITS) as opened:
        yield opened
    await server.stop(None)


async def test_metadata_beyond_the_limit_are_refused_before_any_message(
    channel: aio.Channel,
) -> None:
    call = channel.stream_unary(CHECK)(metadata=(("x-large", "x" * MOST_METADATA_BYTES),))
    with pytest.raises(aio.AioRpcError) as caught:
        await call  # which has sent nothing, and not ended its side
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "the metadata of the call have 8" in (caught.value.details() or "")
    assert _reason(caught.value) == "METADATA_TOO_LARGE"


async def test_metadata_within_the_limit_pass(channel: aio.Channel) -> None:
    check = channel.unary_unary(CHECK)
    answer = await check(b"", metadata=(("x-fine", "x" * (MOST_METADATA_BYTES - 1000)),))
    status = health_pb2.HealthCheckResponse.FromString(answer).status
    assert status == health_pb2.HealthCheckResponse.SERVING


class Message:
    """One that knows when it is forgotten."""

    DESCRIPTOR = None
    latest: weakref.ref[Message]

    def __init__(self, _data: bytes) -> None:
        Message.latest = weakref.ref(self)


class AllExpected:
    """Lets all calls come."""

    def of(self, _path: str, _context: object) -> AllExpected:
        return self

    def arrived(self) -> None:
        pass

    def leave(self) -> None:
        pass


@pytest.mark.parametrize("path", ["/test.Test/Fail", min(EXPECTED)])
async def test_messages_of_refused_calls_are_forgotten_without_a_search_for_garbage(
    path: str,
) -> None:
    async def fail(_request: Message, _context: object) -> bytes:
        raise InvalidTensorError("bad")

    handlers = {path: grpc.unary_unary_rpc_method_handler(fail, request_deserializer=Message)}
    gate = Gate(Authenticator(None, asks_for_certificates=False), Metrics())
    router = Router(
        gate,
        Surroundings(()),
        Lifecycle(),
        Shares(99),
        handlers,
        expectation=cast(Expectation, AllExpected()),
        silence_s=60.0,
    )
    server = aio.server()
    server.add_generic_rpc_handlers((router,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gc.disable()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(aio.AioRpcError, match="bad"):
                await channel.unary_unary(path)(b"x")
            async with asyncio.timeout(10):
                while Message.latest() is not None:
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()
        await server.stop(None)


def _reason(error: aio.AioRpcError) -> str:
    metadata = dict(error.trailing_metadata())
    details: list[Any] = list(Status.FromString(metadata["grpc-status-details-bin"]).details)
    info = ErrorInfo()
    assert details[0].Unpack(info)
    return info.reason
