"""How long a health check takes while a client attacks the server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.serving.http2 import CANCEL, PING, RST_STREAM, Http2
from benchmarks.serving.processes import ServerProcess, smidgen_server
from benchmarks.serving.quantiles import Quantiles, quantiles

BAR_MS = 100.0
_CHECK, _LIST = "/grpc.health.v1.Health/Check", "/smidgen.v1.ModelService/ListModels"
_PAUSE_S = 0.005
_MESSAGE_BYTES = 4 << 20
_STREAMS, _RESETS, _PINGS, _CONNECTIONS = 250, 2000, 2000, 100

Attack = Callable[[int], None]
"""One turn of an attack on a port, which is repeated until the time is over."""


@dataclass(frozen=True, slots=True)
class AttackRow:
    """What was measured during one attack.

    Attributes:
        latency: Of health checks.
        failures: Health checks that were not answered.
        turns: How often the attack was repeated.
        server_share: CPU time of the server to wall-clock time.
    """

    latency: Quantiles
    failures: int
    turns: int
    server_share: float


def measure_attacks(folder: Path, *, seconds: float) -> dict[str, AttackRow]:
    """Measures one attack after the other, and first none, for `seconds` each."""
    flags = ("--handshake-seconds", "2", "--max-message-bytes", str(_MESSAGE_BYTES))
    with smidgen_server(folder, {}, *flags) as server:
        return {name: _measure(server, attack, seconds) for name, attack in _ATTACKS.items()}


def _measure(server: ServerProcess, attack: Attack, seconds: float) -> AttackRow:
    port = int(server.target.rpartition(":")[2])
    is_over = threading.Event()
    turns = 0

    def repeat() -> None:
        nonlocal turns
        while not is_over.is_set():
            with suppress(OSError, grpc.RpcError):  # the server may have had enough
                attack(port)
            turns += 1

    attacker = threading.Thread(target=repeat)
    delays_s: list[float] = []
    failures = 0
    with grpc.insecure_channel(server.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=30)
        attacker.start()
        cpu_s, started_s = server.cpu_s(), time.perf_counter()
        while (asked_s := time.perf_counter()) - started_s < seconds:
            try:
                health.Check(health_pb2.HealthCheckRequest(), timeout=30)
            except grpc.RpcError:
                failures += 1
            delays_s.append(time.perf_counter() - asked_s)
            time.sleep(_PAUSE_S)
        elapsed_s, used_s = time.perf_counter() - started_s, server.cpu_s() - cpu_s
        is_over.set()
        attacker.join()
    return AttackRow(quantiles(delays_s), failures, turns, used_s / elapsed_s)


def _none(_port: int) -> None:
    time.sleep(_PAUSE_S)


def _silent_connections(port: int) -> None:
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(_CONNECTIONS)]
    for connection in opened:
        connection.close()


def _silent_calls(port: int) -> None:
    with Http2(port) as connection:
        connection.acknowledge()
        for _ in range(_STREAMS):
            connection.begin(_CHECK)
        connection.send(PING, 0, 0, bytes(8))
        connection.frames_until(PING)


def _rapid_reset(port: int) -> None:
    with Http2(port) as connection:
        for _ in range(_RESETS):
            stream = connection.begin(_LIST)
            connection.send(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big"))


def _pings(port: int) -> None:
    with Http2(port) as connection:
        for number in range(_PINGS):
            connection.send(PING, 0, 0, number.to_bytes(8, "big"))


def _metadata(port: int) -> None:
    with Http2(port) as connection:
        connection.begin(_LIST, ("x-large", "x" * 1_000_000))


def _calls_with(message: bytes) -> Attack:
    def attack(port: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_LIST)
            for _ in range(10):
                with suppress(grpc.RpcError):
                    call(message, timeout=20)

    return attack


_ATTACKS: Mapping[str, Attack] = {
    "none": _none,
    "silent_connections": _silent_connections,
    "silent_calls": _silent_calls,
    "rapid_reset": _rapid_reset,
    "pings": _pings,
    "metadata": _metadata,
    "messages_too_large": _calls_with(bytes(_MESSAGE_BYTES + 1)),
    "messages_malformed": _calls_with(b"\x07" * (_MESSAGE_BYTES - 100)),
    "messages_of_nothing_known": _calls_with(b"\x98\x06\x01" * (_MESSAGE_BYTES // 3 - 100)),
}
