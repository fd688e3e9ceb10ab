"""A collector of spans on a loopback socket, as OTLP over gRPC wants one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_EXPORT = "Export"
_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


class Collector:
    """Keeps all that it is sent."""

    def __init__(self) -> None:
        self.resources: list[dict[str, object]] = []
        self._spans: list[Span] = []
        self._came = threading.Condition()

    def export(
        self, request: pb.ExportTraceServiceRequest, _context: object
    ) -> pb.ExportTraceServiceResponse:
        with self._came:
            for group in request.resource_spans:
                self.resources.append(attributes(group.resource))
                for scope in group.scope_spans:
                    self._spans += scope.spans
            self._came.notify_all()
        return pb.ExportTraceServiceResponse()

    def spans_of(self, trace_id: str, is_whole: Callable[[list[Span]], object]) -> list[Span]:
        """Returns the spans of a trace as soon as they are whole, the earliest first."""
        ends_s = time.monotonic() + 30
        with self._came:
            while True:
                found = [span for span in self._spans if span.trace_id.hex() == trace_id]
                if is_whole(found):
                    return sorted(found, key=lambda span: span.start_time_unix_nano)
                if not self._came.wait(ends_s - time.monotonic()):
                    raise AssertionError(f"of {trace_id} there is only {found}")


def attributes(of: object) -> dict[str, object]:
    """Returns attributes as plain values."""
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value"))
        for one in of.attributes  # type: ignore[attr-defined]
    }


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """Serves one, and tells its endpoint."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(
        collector.export,
        request_deserializer=pb.ExportTraceServiceRequest.FromString,
        response_serializer=pb.ExportTraceServiceResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {_EXPORT: handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        server.stop(None)
