"""Inferences that are refused before their messages are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status.rpc_status import aio as aio_status

from smidgen_service.expectation import EXPECTED, Expectation
from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.arrivals import MOST_AGE_S
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.metrics import Metrics
from smidgen_service.observers import RpcMetrics
from smidgen_service.rejections import Rejections
from smidgen_service.routing import Router
from smidgen_service.security import identity_file
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.gate import Gate
from smidgen_service.security.roles import Role
from smidgen_service.shares import Shares
from smidgen_service.surroundings import Surroundings

INFER, MODEL_INFER = sorted(EXPECTED, reverse=True)
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
PIXELS = bytes(150_528)
Channel = aio.Channel


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class Served:
    """A server with one place and a queue of one, and what decides there."""

    channel: Channel
    admission: Admission
    lifecycle: Lifecycle
    metrics: Metrics
    clock: Clock
    lengths: list[int]

    def counted(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    async def begin(self, path: str = INFER, **terms: Any) -> Any:
        """Begins a call of which nothing but the headers is sent, and lets the server see it."""
        before = self._coming()
        call: Any = self.channel.stream_unary(path)(**terms)
        await call.wait_for_connection()
        while self._coming() == before and not call.done():
            await asyncio.sleep(0.001)
        return call

    async def until_nobody_comes(self) -> None:
        while self._coming():
            await asyncio.sleep(0.001)

    def _coming(self) -> int:
        return sum(self.admission._arrivals.by_tenant().values())


Serve = Callable[..., Any]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers whose inferences answer at once with the length of their message."""
    async with AsyncExitStack() as stack:

        async def start(identities: Path | None = None, *, silence_s: float = 60.0) -> Served:
            lengths: list[int] = []

            async def answer(request: bytes, _context: object) -> bytes:
                lengths.append(len(request))
                return b"%d" % len(request)

            metrics, lifecycle, clock = Metrics(), Lifecycle(), Clock()
            lifecycle.phase = Phase.SERVING
            gate = Gate(Authenticator(identities, asks_for_certificates=False), metrics)
            admission = Admission(metrics, most_running=1, most_queued=1, clock=clock)
            router = Router(
                gate,
                Surroundings((RpcMetrics(metrics),)),
                lifecycle,
                Shares(99),
                dict.fromkeys(EXPECTED, grpc.unary_unary_rpc_method_handler(answer)),
                expectation=Expectation(gate, lifecycle, admission, Rejections(metrics)),
                silence_s=silence_s,
            )
            server = aio.server()
            server.add_generic_rpc_handlers((router,))
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            stack.push_async_callback(server.stop, None)
            channel = aio.insecure_channel(f"127.0.0.1:{port}")
            stack.push_async_callback(channel.close)
            return Served(channel, admission, lifecycle, metrics, clock, lengths)

        yield start


async def refusal_of(call: Any) -> tuple[grpc.StatusCode, str, error_details_pb2.ErrorInfo, int]:
    """Returns code, message, the reason with its metadata, and when to try again, in ms."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    error = caught.value
    found = await aio_status.from_call(call)
    assert found is not None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in found.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    trailers = dict(error.trailing_metadata())
    after_ms = retry.retry_delay.ToMilliseconds()
    assert trailers.get("grpc-retry-pushback-ms", "0") == str(after_ms)
    return error.code(), error.details() or "", info, after_ms


@pytest.mark.parametrize(("path", "words"), [(INFER, ""), (MODEL_INFER, "Exceeds maximum queue ")])
async def test_a_full_queue_refuses_by_the_headers(serve: Serve, path: str, words: str) -> None:
    served = await serve()
    async with served.admission.place(None, 1.0):
        with served.admission.waiting(None, 2.0):
            # It has sent no message, and not ended its side.
            code, message, info, after_ms = await refusal_of(await served.begin(path))
            assert (code, info.reason, dict(info.metadata)) == (
                *(EXHAUSTED, "QUEUE_FULL"),
                {"queued": "1"},
            )
            assert message.startswith(words)
            assert "waiting or on their way: 1, and no more may wait" in message
            assert after_ms == 3000
        assert await served.channel.unary_unary(path)(PIXELS) == b"150528"
    assert served.lengths == [len(PIXELS)]


async def test_refusals_by_the_headers_are_counted(serve: Serve) -> None:
    served = await serve()
    method = {"grpc_type": "unary", "grpc_service": "smidgen.v1.InferenceService"}
    method["grpc_method"] = "Infer"
    async with served.admission.place(None, 1.0):
        with served.admission.waiting(None, 1.0):
            for _ in range(3):
                await refusal_of(served.channel.unary_unary(INFER)(PIXELS))
    assert served.counted("smidgen_admission_rejected_total", reason="queue_full") == 3
    assert served.counted("grpc_server_handled_total", **method, grpc_code=EXHAUSTED.name) == 3
    assert served.counted("grpc_server_msg_received_total", **method) == 0


async def test_calls_whose_messages_are_on_their_way_are_bounded(serve: Serve) -> None:
    served = await serve()
    async with served.admission.place(None, 1.0):
        coming = await served.begin()
        assert (await refusal_of(await served.begin()))[2].metadata["queued"] == "1"
        # The one that was let in is as good as one that waits.
        await coming.write(PIXELS)
        await coming.done_writing()
        assert await coming == b"150528"
        assert await served.channel.unary_unary(INFER)(PIXELS) == b"150528"


async def test_a_client_that_says_nothing_keeps_others_out_for_a_moment(serve: Serve) -> None:
    served = await serve()
    async with served.admission.place(None, 1.0):
        silent = await served.begin()
        assert (await refusal_of(await served.begin()))[0] is EXHAUSTED
        served.clock.now_s += 2 * MOST_AGE_S
        assert await served.channel.unary_unary(INFER)(PIXELS) == b"150528"
        silent.cancel()


@pytest.mark.parametrize("ending", ["cancelled", "late", "silent", "empty"])
async def test_calls_that_end_without_a_message_leave_nothing(serve: Serve, ending: str) -> None:
    served = await serve(silence_s=0.05 if ending == "silent" else 60.0)
    async with served.admission.place(None, 1.0):
        for _ in range(3):  # one for each would fill the queue
            call = await served.begin(timeout=0.1 if ending == "late" else None)
            if ending == "cancelled":
                call.cancel()
            elif ending == "empty":
                await call.done_writing()
            with pytest.raises((aio.AioRpcError, asyncio.CancelledError)):
                await call
            await served.until_nobody_comes()
        assert await served.channel.unary_unary(INFER)(PIXELS) == b"150528"


async def test_tenants_are_told_apart_by_the_headers(serve: Serve, tmp_path: Path) -> None:
    path, terms = tmp_path / "auth.json", {}
    for tenant in ("greedy", "modest", "reader"):
        role = Role.READER if tenant == "reader" else Role.ADMIN
        token = identity_file.create_token(
            path, tenant=tenant, roles=frozenset({role}), now=datetime.now(tz=UTC)
        )
        terms[tenant] = {"metadata": (("authorization", f"Bearer {token.text}"),)}
    served = await serve(path)
    async with AsyncExitStack() as stack:
        for _ in range(2):  # one takes the place, and one may wait
            call = await served.begin(**terms["greedy"])
            stack.callback(call.cancel)
        assert (await refusal_of(await served.begin(**terms["greedy"])))[0] is EXHAUSTED
        infer = served.channel.unary_unary(INFER)
        assert await infer(PIXELS, **terms["modest"]) == b"150528"
        code, _, info, _ = await refusal_of(await served.begin(**terms["reader"]))
        assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    assert served.counted("smidgen_auth_failures_total", reason="ROLE_MISSING") == 1


async def test_a_server_that_stops_says_so_first(serve: Serve) -> None:
    served = await serve()
    served.lifecycle.drain()
    async with served.admission.place(None, 1.0):
        with served.admission.waiting(None, 1.0):
            code, _, info, after_ms = await refusal_of(await served.begin())
    assert (code, info.reason, after_ms) == (
        *(grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING"),
        1000,
    )
