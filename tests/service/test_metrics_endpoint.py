"""Prometheus' endpoint and peers that are none of Prometheus."""

from __future__ import annotations

import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from smidgen_service.exposition import Exposition
from smidgen_service.metrics_endpoint import MetricsEndpoint
from smidgen_service.series import LevelFamily

SILENCE_S = 0.2
PATIENCE_S = 20.0
RESET = struct.pack("ii", 1, 0)
GET = b"GET /metrics HTTP/1.0\r\n\r\n"


@pytest.fixture
def endpoint() -> Iterator[MetricsEndpoint]:
    registry = CollectorRegistry()
    for number in range(2000):  # an answer that does not fit into the buffers of a connection
        Gauge(f"long_{'x' * 1000}_{number}", "A gauge.", registry=registry)
    running = MetricsEndpoint(Exposition(registry), host="127.0.0.1", port=0, silence_s=SILENCE_S)
    yield running
    running.close()


def connect(endpoint: MetricsEndpoint) -> socket.socket:
    return socket.create_connection(("127.0.0.1", endpoint.port), timeout=PATIENCE_S)


def test_silent_peers_hold_no_threads(
    endpoint: MetricsEndpoint, capfd: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    peers = [connect(endpoint) for _ in range(4)]
    peers[1].sendall(GET[:10])
    peers[2].sendall(GET)  # and takes nothing of the answer
    peers[3].sendall(GET)
    peers[3].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peers[3].close()
    assert [peer.recv(1) for peer in peers[:2]] == [b"", b""]
    end_s = time.monotonic() + PATIENCE_S
    while threading.active_count() > before:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    for peer in peers:
        peer.close()
    url = f"http://127.0.0.1:{endpoint.port}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
        assert b"_1999 0.0" in response.read()
    # The log of the server is JSON alone.
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics/"])
def test_a_mistyped_path_is_not_found(endpoint: MetricsEndpoint, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{endpoint.port}{path}", timeout=PATIENCE_S)
    with caught.value as response:
        assert response.read() == b"metrics are at /metrics\n"


@pytest.mark.parametrize("scheme", ["allow-utf-8", "underscores", "dots", "values"])
@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_all_names_are_the_same_whatever_scheme_of_escaping_is_asked_for(
    kind: str, scheme: str
) -> None:
    registry = CollectorRegistry()
    Gauge("of_the_library", "A gauge.", registry=registry).set(1)
    own = LevelFamily("of_the_server", "A level.", ())
    own.labels().value = 2
    exposition = Exposition(registry, lambda: [own])
    content_type, text = exposition.write(f"{kind}; version=1.0.0; escaping={scheme};q=0.6")
    assert content_type.startswith(f"{kind}; version=1.0.0")
    lines = text.decode().splitlines()
    assert "of_the_library 1.0" in lines
    assert "of_the_server 2.0" in lines


@pytest.mark.parametrize("version", ["abc", "1.x", "1.0.0\xff", ""])
def test_a_version_of_the_format_that_is_none_is_no_fault(version: str) -> None:
    registry = CollectorRegistry()
    Gauge("level", "A gauge.", registry=registry)
    for kind in ("application/openmetrics-text", "text/plain"):
        _, text = Exposition(registry).write(f"{kind}; version={version}")
        assert b"level 0.0" in text
