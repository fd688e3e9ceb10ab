"""The spans of calls, by OpenTelemetry, which nothing else imports: it is an optional part."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    NoOpTracer,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    format_trace_id,
    set_span_in_context,
)

from smidgen_service.methods import is_always_served
from smidgen_service.metrics import package_version
from smidgen_service.surroundings import Call, Method, Watch
from smidgen_service.tracing import traceparent
from smidgen_service.tracing.current import CALL_SPAN, TimedSpan
from smidgen_service.tracing.traceparent import Traceparent

CLOSE_S = 3.0
"""How long the last spans may take to get to who collects them."""
_FAULTS = frozenset(
    code.name
    for code in (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    )
)
"""Codes that are errors of a server, by the conventions for gRPC; others are those of clients."""


class Tracing:
    """Makes a span of each call but probes, and sends it to a collector in a thread of its own.

    Sampler, limits and queues are those of OpenTelemetry's variables (`OTEL_...`).

    Args:
        exporter: Sends spans; None for one of OTLP over gRPC, whose endpoint the variables say.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        self._exporter = exporter or OTLPSpanExporter()
        # What ends in time is told by close.
        self._provider = TracerProvider(resource=resource_of_the_server(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("smidgen_service", package_version())

    def __call__(self, method: Method) -> Watch:
        """Returns what makes spans of the calls of a method."""
        # Probes come every second, and streams of health end with the server.
        tracer = NoOpTracer() if is_always_served(method.path) else self._tracer
        return _TracedMethod(tracer, method)

    def close(self) -> None:
        """Sends what is left, for no longer than CLOSE_S."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(CLOSE_S)
        if ending.is_alive():  # it waits for a collector that does not answer
            self._exporter.shutdown()


class _TracedMethod(Watch):
    def __init__(self, tracer: Tracer, method: Method) -> None:
        self._tracer = tracer
        self._name = method.path.removeprefix("/")
        self._attributes = {"rpc.system.name": "grpc", "rpc.method": self._name}
        self._spans: dict[Call, _OtelSpan] = {}

    def began(self, call: Call) -> None:
        """Begins a span, within the caller's if it says which that is."""
        anchor_ns = time.time_ns() - _nanoseconds(time.perf_counter())
        span = self._tracer.start_span(
            self._name,
            context=_context(traceparent.find(call.metadata)),
            kind=SpanKind.SERVER,
            attributes=self._attributes,
            start_time=anchor_ns + _nanoseconds(call.started_s),
        )
        if span.is_recording():
            self._spans[call] = found = _OtelSpan(self._tracer, span, anchor_ns)
            CALL_SPAN.set(found)

    def ended(self, call: Call) -> None:
        """Ends it."""
        span = self._spans.pop(call, None)
        if span is not None:
            span.end(call.code.name)


class _OtelSpan:
    """A span of OpenTelemetry whose times are those of time.perf_counter.

    Args:
        tracer: Makes others.
        span: The span.
        anchor_ns: Nanoseconds from 1970 to the zero of that clock, the same for a whole call, so
            that spans lie within each other whatever happens to the clock of the machine.
    """

    def __init__(self, tracer: Tracer, span: Span, anchor_ns: int) -> None:
        self._tracer = tracer
        self.span = span
        self._anchor_ns = anchor_ns

    @property
    def trace_id(self) -> str:
        """The trace."""
        return format_trace_id(self.span.get_span_context().trace_id)

    def add(
        self,
        name: str,
        start_s: float,
        end_s: float,
        *,
        attributes: Mapping[str, str | int] | None = None,
        linked: Sequence[TimedSpan] = (),
        error: str | None = None,
    ) -> _OtelSpan:
        """Adds a span within this one."""
        span = self._tracer.start_span(
            name,
            context=set_span_in_context(self.span, Context()),
            attributes=attributes,
            links=[
                Link(one.span.get_span_context()) for one in linked if isinstance(one, _OtelSpan)
            ],
            start_time=self._anchor_ns + _nanoseconds(start_s),
        )
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end(self._anchor_ns + _nanoseconds(end_s))
        return _OtelSpan(self._tracer, span, self._anchor_ns)

    def end(self, code: str) -> None:
        """Ends the span of a call, with the name of its status code."""
        self.span.set_attribute("rpc.response.status_code", code)
        if code in _FAULTS:
            self.span.set_attribute("error.type", code)
            self.span.set_status(StatusCode.ERROR)
        self.span.end(self._anchor_ns + _nanoseconds(time.perf_counter()))


def _context(parent: Traceparent | None) -> Context:
    if parent is None:
        return Context()
    context = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if parent.is_sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([parent.state]),
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def resource_of_the_server() -> Resource:
    """Returns who the spans are of: what the variables say, and what they leave out."""
    said = OTELResourceDetector().detect().attributes
    own = {"service.name": "smidgen", "service.version": package_version()}
    pid = {"process.pid": os.getpid()}
    return Resource.create({**pid, **{key: own[key] for key in own if key not in said}})


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
