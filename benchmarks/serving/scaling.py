"""What more processes on one port bring, for calls that compute next to nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.calls import infer_message
from benchmarks.serving.processes import ServerProcess, smidgen_server
from benchmarks.serving.programs import FEATURES, save, trivial_program

CLIENTS = 2
_MODEL = "trivial"


@dataclass(frozen=True, slots=True)
class ScalingRow:
    """What was measured of a server.

    Attributes:
        calls_per_second: Of CLIENTS client processes, on the same machine.
        server_cpu_us: CPU time of all its processes for each call, in microseconds.
        ratio: The calls a second to those of one process.
    """

    calls_per_second: float
    server_cpu_us: float
    ratio: float


def measure_scaling(
    folder: Path, processes: Sequence[int], *, slices: int, slice_s: float
) -> dict[str, ScalingRow]:
    """Measures servers of so many processes in turns; the first is what ratios are to."""
    program = trivial_program()
    path = save(program, folder, _MODEL)
    request = infer_message(_MODEL, np.zeros((1, FEATURES), np.float32))
    found: dict[int, list[tuple[float, float]]] = {count: [] for count in processes}
    with ExitStack() as stack:
        servers = {}
        for count in processes:
            place = folder / str(count)
            place.mkdir()
            flags = ("--processes", str(count))
            servers[count] = stack.enter_context(smidgen_server(place, {_MODEL: path}, *flags))
        for _ in range(slices):
            for count, server in servers.items():
                found[count].append(_slice(server, request, slice_s))
    means = {count: np.mean(runs, axis=0) for count, runs in found.items()}
    first = means[processes[0]][0]
    return {
        str(count): ScalingRow(float(calls), float(cpu_us), float(calls / first))
        for count, (calls, cpu_us) in means.items()
    }


def _slice(server: ServerProcess, request: bytes, seconds: float) -> tuple[float, float]:
    """Returns calls a second, and microseconds of CPU of the server for each call."""
    command = [sys.executable, "-m", "benchmarks.serving.callers", server.target, str(seconds)]
    cpu_s = server.cpu_s()
    clients = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(CLIENTS)
    ]
    rates = []
    for client in clients:
        assert client.stdin is not None  # a pipe, see above
        client.stdin.write(request)
        client.stdin.close()
    for client in clients:
        assert client.stdout is not None  # a pipe, see above
        rates.append(float(client.stdout.read()))
        client.stdout.close()
        client.wait()
    calls = sum(rates)
    return calls, (server.cpu_s() - cpu_s) / (calls * seconds) * 1e6
