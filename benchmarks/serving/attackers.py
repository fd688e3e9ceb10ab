"""`python -m benchmarks.serving.attackers NAME PORT SECONDS`: a client that is up to no good.

It is a process of its own, as it would be on another machine, and prints how often it had its turn.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache

import grpc

from benchmarks.serving.http2 import (
    CANCEL,
    END_HEADERS,
    HEADERS,
    PING,
    RST_STREAM,
    Http2,
    frame,
    headers,
)

MESSAGE_BYTES = 4 << 20
"""The largest message that the server takes."""
_CHECK, _LIST = "/grpc.health.v1.Health/Check", "/smidgen.v1.ModelService/ListModels"
_INFER = "/smidgen.v1.InferenceService/Infer"
_STREAMS, _RESETS, _PINGS, _CONNECTIONS, _CALLS = 250, 2000, 2000, 100, 10
_PAUSE_S = 0.005

Attack = Callable[[int], None]
"""One turn of an attack on a port."""


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


def _reset_flood(port: int) -> None:
    with Http2(port) as connection:
        connection.send_bytes(_resets())


@cache
def _resets() -> bytes:
    """Returns all frames of a turn: making them keeps an attacker busier than the server."""
    block = headers(_LIST)
    return b"".join(
        frame(HEADERS, END_HEADERS, stream, block)
        + frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big"))
        for stream in range(1, 2 * _RESETS, 2)
    )


def _pings(port: int) -> None:
    with Http2(port) as connection:
        for number in range(_PINGS):
            connection.send(PING, 0, 0, number.to_bytes(8, "big"))


def _metadata(port: int) -> None:
    with Http2(port) as connection:
        connection.begin(_LIST, ("x-large", "x" * 1_000_000))


def _calls_of(path: str, message: bytes) -> Attack:
    def attack(port: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            for _ in range(_CALLS):
                with suppress(grpc.RpcError):
                    call(message, timeout=20)

    return attack


_NOTHING_KNOWN = b"\x98\x06\x01" * (MESSAGE_BYTES // 3 - 100)

ATTACKS: Mapping[str, Attack] = {
    "none": _none,
    "silent_connections": _silent_connections,
    "silent_calls": _silent_calls,
    "rapid_reset": _rapid_reset,
    "reset_flood": _reset_flood,
    "pings": _pings,
    "metadata": _metadata,
    "messages_too_large": _calls_of(_LIST, bytes(MESSAGE_BYTES + 1)),
    "messages_malformed": _calls_of(_LIST, b"\x07" * (MESSAGE_BYTES - 100)),
    "messages_of_nothing_known": _calls_of(_LIST, _NOTHING_KNOWN),
    "inferences_of_nothing_known": _calls_of(_INFER, _NOTHING_KNOWN),
}


def _repeat(attack: Attack, port: int, seconds: float) -> int:
    ends_s = time.perf_counter() + seconds
    turns = 0
    while time.perf_counter() < ends_s:
        with suppress(OSError, grpc.RpcError):  # the server may have had enough
            attack(port)
        turns += 1
    return turns


def main() -> None:
    """Attacks."""
    name, port, seconds = sys.argv[1:]
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    turns = _repeat(ATTACKS[name], int(port), float(seconds))
    sys.stdout.write(f"{turns}\n")


if __name__ == "__main__":
    main()
