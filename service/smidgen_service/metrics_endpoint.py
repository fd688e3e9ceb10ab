"""The HTTP endpoint that Prometheus scrapes."""

from __future__ import annotations

import gzip
import io
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server
from prometheus_client.exposition import gzip_accepted

from smidgen_service.exposition import Exposition

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SILENCE_S = 10.0
_COMPRESSION = 1  # lines are so alike that more takes ten times as long for a third less


class MetricsEndpoint:
    """Serves the metrics on a thread of its own, and one for each connection.

    Args:
        exposition: What is served.
        host: Address to listen on.
        port: 0 takes any free one.
        silence_s: How long a peer may neither send its request nor take the answer, in seconds.
    """

    def __init__(
        self, exposition: Exposition, *, host: str, port: int, silence_s: float = SILENCE_S
    ) -> None:
        self._server: WSGIServer
        self._thread: threading.Thread
        registry = CollectorRegistry()
        registry.register(exposition)
        self._server, self._thread = start_http_server(port, host, registry)
        self._server.set_app(_Scrapes(exposition, registry))
        self._server.RequestHandlerClass = type("_Handler", (_Scrape,), {"timeout": silence_s})
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Scrapes:
    """Answers scrapes of everything, and leaves scrapes of some metrics to the library."""

    def __init__(self, exposition: Exposition, registry: CollectorRegistry) -> None:
        self._exposition = exposition
        self._others = make_wsgi_app(registry)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/metrics":
            # Elsewhere the library serves metrics too, and a mistyped probe would never fail.
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"metrics are at /metrics\n"]
        if environ["REQUEST_METHOD"] != "GET" or environ.get("QUERY_STRING"):
            others: Iterable[bytes] = self._others(environ, start_response)
            return others
        content_type, text = self._exposition.write(environ.get("HTTP_ACCEPT", ""))
        headers = [("Content-Type", content_type)]
        if gzip_accepted(environ.get("HTTP_ACCEPT_ENCODING", "")):
            text = gzip.compress(text, _COMPRESSION)
            headers.append(("Content-Encoding", "gzip"))
        start_response("200 OK", [*headers, ("Content-Length", str(len(text)))])
        return [text]


class _Scrape(WSGIRequestHandler):
    """One connection. What is wrong with it is the peer's affair, and no line of the log."""

    def handle(self) -> None:
        with suppress(OSError):  # a peer that has left, or says nothing
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def get_stderr(self) -> TextIO:
        return io.StringIO()
