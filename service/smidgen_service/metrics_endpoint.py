"""The HTTP endpoint that Prometheus scrapes."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from typing import TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

SILENCE_S = 10.0


class MetricsEndpoint:
    """Serves the metrics on a thread of its own, and one for each connection.

    Args:
        registry: What is served.
        host: Address to listen on.
        port: 0 takes any free one.
        silence_s: How long a peer may neither send its request nor take the answer, in seconds.
    """

    def __init__(
        self, registry: CollectorRegistry, *, host: str, port: int, silence_s: float = SILENCE_S
    ) -> None:
        self._server: WSGIServer
        self._thread: threading.Thread
        self._server, self._thread = start_http_server(port, host, registry)
        self._server.RequestHandlerClass = type("_Handler", (_Scrape,), {"timeout": silence_s})
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Scrape(WSGIRequestHandler):
    """One connection. What is wrong with it is the peer's affair, and no line of the log."""

    def handle(self) -> None:
        with suppress(OSError):  # a peer that has left, or says nothing
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def get_stderr(self) -> TextIO:
        return io.StringIO()
