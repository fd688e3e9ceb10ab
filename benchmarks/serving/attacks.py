"""How long a health check takes while a client attacks the server.

A real attacker is on another machine. Here it gets a core of its own, shared with the health checks
alone, which say little else than how busy the server is then; the server gets the other cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.serving.attackers import ATTACKS, MESSAGE_BYTES
from benchmarks.serving.processes import ServerProcess, smidgen_server
from benchmarks.serving.quantiles import Quantiles, quantiles

BAR_MS = 100.0
_PAUSE_S = 0.005
_REQUEST = health_pb2.HealthCheckRequest()


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


def measure_attacks(
    folder: Path, *, seconds: float, names: Sequence[str] = ()
) -> dict[str, AttackRow]:
    """Measures one attack after the other, and first none, for `seconds` each.

    Args:
        folder: For the server's data.
        seconds: How long each attack goes on.
        names: Attacks; none for all.
    """
    flags = ("--handshake-seconds", "2", "--max-message-bytes", str(MESSAGE_BYTES))
    with smidgen_server(folder, {}, *flags) as server, _cores_apart(server):
        return {name: _measure(server, name, seconds) for name in names or ATTACKS}


@contextmanager
def _cores_apart(server: ServerProcess) -> Iterator[None]:
    """Moves this process, and those that it starts, to the last core, and the server to others."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        yield
        return
    mine = {max(cores)}
    server.move_to(cores - mine)
    os.sched_setaffinity(0, mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _measure(server: ServerProcess, name: str, seconds: float) -> AttackRow:
    port = server.target.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.serving.attackers", name, port, str(seconds)]
    delays_s: list[float] = []
    failures = 0
    with grpc.insecure_channel(server.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        health.Check(_REQUEST, wait_for_ready=True, timeout=30)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as attacker:
            assert attacker.stdout is not None  # a pipe, see above
            attacker.stdout.readline()
            cpu_s, started_s = server.cpu_s(), time.perf_counter()
            while (asked_s := time.perf_counter()) - started_s < seconds:
                try:
                    health.Check(_REQUEST, timeout=30)
                except grpc.RpcError:
                    failures += 1
                delays_s.append(time.perf_counter() - asked_s)
                time.sleep(_PAUSE_S)
            elapsed_s, used_s = time.perf_counter() - started_s, server.cpu_s() - cpu_s
            turns = int(attacker.stdout.read())
    return AttackRow(quantiles(delays_s), failures, turns, used_s / elapsed_s)
