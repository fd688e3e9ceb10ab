"""Calls that are handed on: whatever they carry, and however they end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from smidgen_service.errors import NotFoundError, OverloadedError
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.metrics import Metrics
from smidgen_service.processes.callers import HEADER, ForwardedCallers
from smidgen_service.processes.forwarding import Forwarder
from smidgen_service.processes.private_line import PrivateServer, channel_to
from smidgen_service.routing import Router
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.gate import Gate
from smidgen_service.security.permissions import ANY_ROLE
from smidgen_service.security.principals import CALLER, IMPLICIT
from smidgen_service.settings import Settings
from smidgen_service.shares import Shares
from smidgen_service.surroundings import Method, Surroundings

SECONDS = 20.0
METHODS = {
    "Unary": (False, False),
    "Fail": (False, False),
    "Hang": (False, False),
    "Download": (False, True),
    "Upload": (True, False),
    "Refuse": (True, False),
    "Talk": (True, True),
}
SECRET = b"s" * 32


class Behind:
    """What the calls are handed on to; it takes and returns bytes."""

    def __init__(self) -> None:
        self.metadata: list[tuple[str, str | bytes]] = []
        self.left_s: float | None = None
        self.cancelled = asyncio.Event()
        self.arrived = asyncio.Event()

    async def Unary(self, request: bytes, context: Any) -> bytes:
        self.metadata = list(context.invocation_metadata())
        self.left_s = context.time_remaining()
        assert CALLER.get() == IMPLICIT
        return request[::-1]

    async def Fail(self, request: bytes, context: Any) -> bytes:
        if request == b"busy":
            raise OverloadedError("too much", retry_after_s=1.5)
        raise NotFoundError("model", request.decode())

    async def Hang(self, request: bytes, context: Any) -> bytes:
        return await self._until_cancelled()

    async def Download(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for index in range(3):
            yield request + str(index).encode()
        if request == b"hang":
            await self._until_cancelled()
        raise NotFoundError("model", "the end")

    async def Upload(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        found = []
        async for message in messages:
            found.append(message)
            if message == b"hang":
                await self._until_cancelled()
        return b"+".join(found)

    async def Refuse(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        raise NotFoundError("model", (await anext(messages)).decode())

    async def Talk(self, messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message.upper()

    async def _until_cancelled(self) -> bytes:
        self.arrived.set()
        try:
            await asyncio.sleep(10 * SECONDS)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""


def handlers(behind: Behind) -> dict[str, Any]:
    kinds = {True: "stream", False: "unary"}
    return {
        f"/s.S/{name}": getattr(grpc, f"{kinds[sends]}_{kinds[answers]}_rpc_method_handler")(
            getattr(behind, name)
        )
        for name, (sends, answers) in METHODS.items()
    }


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def lifecycle() -> Lifecycle:
    found = Lifecycle()
    found.phase = Phase.SERVING
    return found


@pytest.fixture
async def private(
    behind: Behind,
    lifecycle: Lifecycle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[PrivateServer]:
    gate = "smidgen_service.processes.private_line.Gate"
    rules = dict.fromkeys(handlers(behind), ANY_ROLE)
    monkeypatch.setattr(gate, lambda callers, metrics: Gate(callers, metrics, rules))
    callers, settings = ForwardedCallers(SECRET), Settings()
    server = PrivateServer(settings, callers, Metrics(), lifecycle, handlers(behind))
    await server.start(tmp_path / "socket")
    yield server
    await server.stop()


@pytest.fixture
async def target(private: PrivateServer, tmp_path: Path) -> AsyncIterator[str]:
    """The address of what hands on."""
    onward = channel_to(str(tmp_path / "socket"), Settings())
    methods = [Method(f"/s.S/{name}", *kind) for name, kind in METHODS.items()]
    forwarded = Forwarder(onward, ForwardedCallers(SECRET)).handlers(methods)
    gate = Gate(
        Authenticator(None, asks_for_certificates=False),
        Metrics(),
        dict.fromkeys(forwarded, ANY_ROLE),
    )
    surroundings = Surroundings((), (lambda call: CALLER.set(IMPLICIT) and None,), silence_s=0.2)
    router = Router(gate, surroundings, Lifecycle(), Shares(99), forwarded, silence_s=SECONDS)
    front = aio.server()
    front.add_generic_rpc_handlers((router,))
    port = front.add_insecure_port("127.0.0.1:0")
    await front.start()
    yield f"127.0.0.1:{port}"
    await front.stop(None)
    await onward.close()


@pytest.fixture
async def channel(target: str) -> AsyncIterator[aio.Channel]:
    """A channel to what hands on."""
    async with aio.insecure_channel(target) as opened:
        yield opened


async def failure(call: Any) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_messages_pass_as_bytes_with_deadline_and_metadata(
    channel: aio.Channel, behind: Behind
) -> None:
    request = bytes(range(256)) * 5000
    metadata = (("x-mine", "1"), ("x-mine-bin", b"\x00\xff"), ("authorization", "Bearer secret"))
    forged = (HEADER, b"forged")
    call = channel.unary_unary("/s.S/Unary")(
        request, timeout=SECONDS, metadata=(*metadata, forged, ("x-request-id", "id-1"))
    )
    assert await call == request[::-1]
    found = [(key, value) for key, value in behind.metadata if key != "user-agent"]
    expected = [*metadata[:2], ("x-request-id", "id-1")]
    assert [entry for entry in found if entry[0] != HEADER] == expected
    (caller,) = (value for key, value in found if key == HEADER)
    assert isinstance(caller, bytes)
    assert caller.startswith(SECRET)
    assert behind.left_s is not None
    assert 0 < behind.left_s <= SECONDS
    assert await channel.unary_unary("/s.S/Unary")(b"") == b""
    assert behind.left_s is None


async def test_errors_pass_with_all_that_they_carry(channel: aio.Channel) -> None:
    found = await failure(
        channel.unary_unary("/s.S/Fail")(b"models/x", metadata=(("x-request-id", "id-2"),))
    )
    trailers = dict(found.trailing_metadata())
    assert found.code() is grpc.StatusCode.NOT_FOUND
    assert found.details() == "models/x does not exist; list what exists or create it first"
    assert b"MODEL_NOT_FOUND" in trailers["grpc-status-details-bin"]
    assert trailers["x-request-id"] == "id-2"
    found = await failure(channel.unary_unary("/s.S/Fail")(b"busy"))
    assert found.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(found.trailing_metadata())["grpc-retry-pushback-ms"] == "1500"


async def test_streams_pass_in_both_directions(channel: aio.Channel) -> None:
    async def messages(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    upload = channel.stream_unary("/s.S/Upload")
    assert await upload(messages(b"a", b"", b"c" * 100_000)) == b"a++" + b"c" * 100_000
    assert await upload(messages()) == b""
    talk = channel.stream_stream("/s.S/Talk")(messages(b"x", b"y"))
    assert [answer async for answer in talk] == [b"X", b"Y"]
    download = channel.unary_stream("/s.S/Download")(b"d")
    read = [await download.read() for _ in range(3)]
    assert read == [b"d0", b"d1", b"d2"]
    assert (await failure(download.read())).code() is grpc.StatusCode.NOT_FOUND


async def test_uploads_that_are_refused_while_they_are_sent_end_as_they_should(target: str) -> None:
    def endings() -> Counter[tuple[grpc.StatusCode, str]]:
        # By a client in threads: one of grpc.aio may take its own failed write for the ending.
        found: Counter[tuple[grpc.StatusCode, str]] = Counter()
        with grpc.insecure_channel(target) as opened:
            upload = opened.stream_unary("/s.S/Refuse")
            for count in range(200):
                with pytest.raises(grpc.RpcError) as caught:
                    upload(iter([b"m"] * (1 + count % 40)), timeout=SECONDS)
                found[caught.value.code(), caught.value.details()] += 1
        return found

    message = "m does not exist; list what exists or create it first"
    assert await asyncio.to_thread(endings) == {(grpc.StatusCode.NOT_FOUND, message): 200}


@pytest.mark.parametrize("name", ["Hang", "Download", "Upload"])
async def test_whoever_leaves_is_not_waited_for(
    channel: aio.Channel, behind: Behind, name: str
) -> None:
    if name == "Upload":
        call: Any = channel.stream_unary("/s.S/Upload")()
        await call.write(b"hang")
    elif name == "Download":
        call = channel.unary_stream("/s.S/Download")(b"hang")
        assert await call.read() == b"hang0"
    else:
        call = channel.unary_unary("/s.S/Hang")(b"")
    await asyncio.wait_for(behind.arrived.wait(), SECONDS)
    call.cancel()
    await asyncio.wait_for(behind.cancelled.wait(), SECONDS)


async def test_deadlines_end_calls_everywhere(channel: aio.Channel, behind: Behind) -> None:
    found = await failure(channel.unary_unary("/s.S/Hang")(b"", timeout=0.2))
    assert found.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(behind.cancelled.wait(), SECONDS)


async def test_a_silent_client_gets_its_own_error(channel: aio.Channel) -> None:
    call: Any = channel.stream_unary("/s.S/Upload")()
    await call.wait_for_connection()
    found = await failure(call)
    assert found.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert b"STREAM_IDLE" in dict(found.trailing_metadata())["grpc-status-details-bin"]


async def test_without_the_control_process_calls_may_be_repeated(
    channel: aio.Channel, private: PrivateServer, lifecycle: Lifecycle
) -> None:
    lifecycle.drain()
    found = await failure(channel.unary_unary("/s.S/Unary")(b""))
    assert found.code() is grpc.StatusCode.UNAVAILABLE
    assert b"SERVER_DRAINING" in dict(found.trailing_metadata())["grpc-status-details-bin"]
    await private.stop()
    found = await failure(channel.unary_unary("/s.S/Unary")(b""))
    assert found.code() is grpc.StatusCode.UNAVAILABLE
    assert b"SERVER_DRAINING" in dict(found.trailing_metadata())["grpc-status-details-bin"]
    assert "unix" not in found.details()
