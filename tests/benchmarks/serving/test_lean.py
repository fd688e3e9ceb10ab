"""The client that overloads servers, against grpc's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from benchmarks.serving.lean import lean_connection

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
LONG = 300_000  # more than the windows that a connection begins with
MOST_STREAMS = 4


def hints() -> tuple[tuple[str, str | bytes], ...]:
    """Returns what refusals of a full server have in their trailers."""
    retry = any_pb2.Any()
    retry.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1)))
    status = status_pb2.Status(code=EXHAUSTED.value[0], details=[retry])
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("grpc-retry-pushback-ms", "1000"),
    )


class Served:
    """Methods of a server, and what arrived there."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.in_progress = self.most_in_progress = 0

    async def take(self, request: bytes, _context: Any) -> bytes:
        self.in_progress += 1
        self.most_in_progress = max(self.most_in_progress, self.in_progress)
        await asyncio.sleep(0)
        self.in_progress -= 1
        self.lengths.append(len(request))
        return request[:1000]

    async def refuse(self, _messages: object, context: Any) -> None:
        await context.abort(EXHAUSTED, "full", hints())


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Served]]:
    methods = Served()
    handlers = {
        "Take": grpc.unary_unary_rpc_method_handler(methods.take),
        "Refuse": grpc.stream_stream_rpc_method_handler(methods.refuse),
    }
    server = aio.server(options=[("grpc.max_concurrent_streams", MOST_STREAMS)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", methods
    await server.stop(None)


async def test_messages_arrive_whole_within_the_limits_of_the_server(
    served: tuple[str, Served],
) -> None:
    target, methods = served
    async with lean_connection(target, "/test.Test/Take") as connection:
        replies = await asyncio.gather(*(connection.call(bytes(LONG)) for _ in range(12)))
    assert {reply.code for reply in replies} == {grpc.StatusCode.OK}
    assert methods.lengths == [LONG] * 12
    assert 1 <= methods.most_in_progress <= MOST_STREAMS


async def test_refusals_and_their_hints_are_seen(served: tuple[str, Served]) -> None:
    async with lean_connection(served[0], "/test.Test/Refuse") as connection:
        replies = [await connection.call(bytes(LONG)) for _ in range(12)]
    assert {(reply.code, reply.is_hinted) for reply in replies} == {(EXHAUSTED, True)}
    assert all(reply.seconds > 0 for reply in replies)


async def test_calls_of_a_closed_connection_end(served: tuple[str, Served]) -> None:
    async with lean_connection(served[0], "/test.Test/Missing") as connection:
        missing = await connection.call(b"x")
        call = connection.call(b"x")
    assert (missing.code, missing.is_hinted) == (grpc.StatusCode.UNIMPLEMENTED, False)
    assert (await call).code is grpc.StatusCode.UNAVAILABLE
