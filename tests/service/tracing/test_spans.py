"""The spans of calls of every kind and ending, on a loopback socket within the process."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from grpc import aio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from smidgen_service.errors import DrainingError, NotFoundError
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.metrics import Metrics, package_version
from smidgen_service.routing import Router
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.gate import Gate
from smidgen_service.shares import Shares
from smidgen_service.surroundings import Call, Context, Method, Surroundings
from smidgen_service.tracing import spans
from smidgen_service.tracing.current import CALL_SPAN
from smidgen_service.tracing.spans import Tracing, resource_of_the_server

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
HEADER = ("traceparent", f"00-{TRACE}-{PARENT}-01")
STATE = ("tracestate", "vendor=7")
GET, WATCH = "/smidgen.v1.JobService/GetJob", "/smidgen.v1.JobService/WatchJob"
HEALTH = "/grpc.health.v1.Health/Check"
MILLISECOND = 1_000_000


@dataclass(frozen=True)
class Traced:
    """A server whose calls are traced, and a channel to it."""

    channel: aio.Channel
    tracing: Tracing
    exporter: InMemorySpanExporter

    def spans(self) -> tuple[ReadableSpan, ...]:
        """Returns the spans of all calls so far; later calls have none."""
        self.tracing.close()
        return self.exporter.get_finished_spans()

    def only_span(self) -> ReadableSpan:
        (span,) = self.spans()
        return span


class Hanging(SpanExporter):
    """Sends nothing until it is told to end."""

    def __init__(self) -> None:
        self.is_told = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.is_told.wait(30)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.is_told.set()


async def answer(request: bytes, context: Context) -> bytes:
    """Does what the request says, and answers with the trace."""
    if request == b"missing":
        raise NotFoundError("job", "jobs/j-1")
    if request == b"draining":
        raise DrainingError
    if request == b"fault":
        raise RuntimeError("text that stays here")
    span = CALL_SPAN.get()
    return b"" if span is None else span.trace_id.encode()


async def answer_twice(request: bytes, context: Context) -> AsyncIterator[bytes]:
    for _ in range(2):
        yield await answer(request, context)


@pytest.fixture
async def traced() -> AsyncIterator[Traced]:
    """A server in this process."""
    server = aio.server()
    gate = Gate(Authenticator(None, asks_for_certificates=False), Metrics())
    exporter = InMemorySpanExporter()
    tracing = Tracing(exporter)
    handlers = {
        GET: grpc.unary_unary_rpc_method_handler(answer),
        HEALTH: grpc.unary_unary_rpc_method_handler(answer),
        WATCH: grpc.unary_stream_rpc_method_handler(answer_twice),
    }
    surroundings = Surroundings((tracing,))
    router = Router(gate, surroundings, Lifecycle(), Shares(99), handlers, silence_s=60.0)
    server.add_generic_rpc_handlers((router,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Traced(channel, tracing, exporter)
    await server.stop(None)
    tracing.close()


async def test_a_span_is_within_the_callers(traced: Traced) -> None:
    before_ns = time.time_ns()
    assert await traced.channel.unary_unary(GET)(b"", metadata=(HEADER, STATE)) == TRACE.encode()
    span = traced.only_span()
    assert span.context.trace_id == int(TRACE, 16)
    assert span.parent is not None
    assert span.parent.span_id == int(PARENT, 16)
    assert span.parent.is_remote
    assert span.parent.trace_state == {"vendor": "7"}
    assert span.name == "smidgen.v1.JobService/GetJob"
    assert span.kind is SpanKind.SERVER
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "smidgen.v1.JobService/GetJob",
        "rpc.response.status_code": "OK",
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert before_ns - MILLISECOND <= span.start_time <= span.end_time
    assert span.end_time <= time.time_ns() + MILLISECOND


async def test_a_stream_is_one_span(traced: Traced) -> None:
    call = traced.channel.unary_stream(WATCH)(b"", metadata=(HEADER,))
    assert [message async for message in call] == [TRACE.encode()] * 2
    span = traced.only_span()
    assert span.name == "smidgen.v1.JobService/WatchJob"
    assert span.attributes["rpc.response.status_code"] == "OK"


async def test_a_call_without_a_header_begins_a_trace(traced: Traced) -> None:
    trace_id = await traced.channel.unary_unary(GET)(b"")
    span = traced.only_span()
    assert span.parent is None
    assert f"{span.context.trace_id:032x}".encode() == trace_id


async def test_what_the_caller_does_not_record_is_not_recorded(traced: Traced) -> None:
    header = ("traceparent", f"00-{TRACE}-{PARENT}-00")
    assert await traced.channel.unary_unary(GET)(b"", metadata=(header,)) == b""
    assert traced.spans() == ()


@pytest.mark.parametrize(
    ("request_bytes", "code", "is_fault"),
    [
        (b"missing", "NOT_FOUND", False),
        (b"draining", "UNAVAILABLE", True),
        (b"fault", "INTERNAL", True),
    ],
)
async def test_errors_are_the_servers_where_the_conventions_say_so(
    traced: Traced, request_bytes: bytes, code: str, is_fault: bool
) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await traced.channel.unary_unary(GET)(request_bytes, metadata=(HEADER,))
    assert caught.value.code().name == code
    span = traced.only_span()
    assert span.attributes["rpc.response.status_code"] == code
    assert span.attributes.get("error.type") == (code if is_fault else None)
    assert (span.status.status_code is StatusCode.ERROR) is is_fault
    assert not span.events  # no text of exceptions leaves the server


async def test_probes_have_none(traced: Traced) -> None:
    assert await traced.channel.unary_unary(HEALTH)(b"", metadata=(HEADER,)) == b""
    assert traced.spans() == ()


async def test_calls_refused_by_their_headers_have_spans(traced: Traced) -> None:
    with pytest.raises(aio.AioRpcError):
        await traced.channel.unary_unary(GET)(b"", metadata=(HEADER, ("x-large", "x" * 8192)))
    assert traced.only_span().attributes["rpc.response.status_code"] == "RESOURCE_EXHAUSTED"


def test_the_variables_say_who_the_spans_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "vision")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    found = resource_of_the_server().attributes
    assert found["service.name"] == "vision"
    assert found["deployment.environment.name"] == "test"
    assert found["service.version"] == package_version()


def test_an_exporter_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "CLOSE_S", 0.05)
    exporter = Hanging()
    tracing = Tracing(exporter)
    watch = tracing(Method(GET, False, False))
    call = Call(Method(GET, False, False), cast(Any, SimpleNamespace(invocation_metadata=tuple)))
    # A call has a context of its own, which its span stays in.
    of_the_call = contextvars.copy_context()
    of_the_call.run(watch.began, call)
    of_the_call.run(watch.ended, call)
    tracing.close()
    assert exporter.is_told.is_set()
