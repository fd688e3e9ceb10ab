"""What one call costs that computes next to nothing, beside a bare grpc.aio server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from grpc import aio

from benchmarks.serving.calls import (
    ECHO,
    INFER,
    MODEL_INFER,
    UnaryCall,
    infer_message,
    model_infer_message,
)
from benchmarks.serving.processes import ServerProcess, echo_server, smidgen_server
from benchmarks.serving.programs import FEATURES, save, trivial_program
from benchmarks.serving.quantiles import Quantiles, quantiles
from smidgen.artifact import program_specs

BAR = 1.3
_WARM_UP = 200
_AT_ONCE = 16
_MODEL = "trivial"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One method of one server, and the request that it gets."""

    server: ServerProcess
    path: str
    request: bytes


@dataclass(frozen=True, slots=True)
class FloorRow:
    """What was measured of one method.

    Attributes:
        latency: From the call to the answer, one call at a time.
        ratio: Its median to that of the echo.
        calls_per_second: With _AT_ONCE calls at a time, the client included.
        server_cpu_us: CPU time of the server for each of these calls, in microseconds.
        cpu_ratio: That to the same of the echo.
    """

    latency: Quantiles
    ratio: float
    calls_per_second: float
    server_cpu_us: float
    cpu_ratio: float


def measure_floor(folder: Path, *, rounds: int, slices: int, slice_s: float) -> dict[str, FloorRow]:
    """Measures echo, Infer and ModelInfer in turns.

    Args:
        folder: For the server's data.
        rounds: Calls of each, one after the other.
        slices: How often each is measured with many calls at a time.
        slice_s: For how long, in seconds.
    """
    program = trivial_program()
    path = save(program, folder, _MODEL)
    values = np.zeros((1, FEATURES), np.float32)
    name = program_specs(program)[0][0].name
    infer = infer_message(_MODEL, values)
    with smidgen_server(folder, {_MODEL: path}) as server, echo_server() as echo:
        contestants = {
            "echo": Contestant(echo, ECHO, infer),
            "Infer": Contestant(server, INFER, infer),
            "ModelInfer": Contestant(
                server, MODEL_INFER, model_infer_message(_MODEL, name, values)
            ),
        }
        latencies = _one_at_a_time(contestants, rounds)
        rates = asyncio.run(_many_at_a_time(contestants, slices, slice_s))
    return _rows(latencies, rates)


def _rows(
    latencies: Mapping[str, Quantiles], rates: Mapping[str, tuple[float, float]]
) -> dict[str, FloorRow]:
    echo_p50, echo_cpu = latencies["echo"].p50_ms, rates["echo"][1]
    return {
        name: FloorRow(
            latency=found,
            ratio=found.p50_ms / echo_p50,
            calls_per_second=rates[name][0],
            server_cpu_us=rates[name][1],
            cpu_ratio=rates[name][1] / echo_cpu,
        )
        for name, found in latencies.items()
    }


def _one_at_a_time(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, Quantiles]:
    channels = {name: grpc.insecure_channel(one.server.target) for name, one in contestants.items()}
    calls = {name: _caller(channels[name], one.path) for name, one in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    # Each after the echo, not after itself: the second of two calls finds the caches of the first.
    order = [name for other in list(contestants)[1:] for name in ("echo", other)]
    for turn in range(-_WARM_UP, rounds):
        for name in order:
            one = contestants[name]
            started_s = time.perf_counter()
            calls[name](one.request)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started_s)
    for channel in channels.values():
        channel.close()
    return {name: quantiles(found) for name, found in seconds.items()}


def _caller(channel: grpc.Channel, path: str) -> Callable[[bytes], bytes]:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    return call


async def _many_at_a_time(
    contestants: Mapping[str, Contestant], slices: int, slice_s: float
) -> dict[str, tuple[float, float]]:
    """Returns calls a second and microseconds of CPU of the server for each call."""
    found: dict[str, list[tuple[int, float, float]]] = {name: [] for name in contestants}
    for _ in range(slices):
        for name, one in contestants.items():
            found[name].append(await _slice(one, slice_s))
    rates = {}
    for name, runs in found.items():
        calls, wall_s, cpu_s = (sum(column) for column in zip(*runs, strict=True))
        rates[name] = (calls / wall_s, cpu_s / calls * 1e6)
    return rates


async def _slice(one: Contestant, seconds: float) -> tuple[int, float, float]:
    async with aio.insecure_channel(one.server.target) as channel:
        call: UnaryCall = channel.unary_unary(one.path)
        await call(one.request)
        cpu_s, started_s = one.server.cpu_s(), time.perf_counter()

        async def caller() -> int:
            count = 0
            while time.perf_counter() - started_s < seconds:
                await call(one.request)
                count += 1
            return count

        counts = await asyncio.gather(*(caller() for _ in range(_AT_ONCE)))
        wall_s = time.perf_counter() - started_s
        return sum(counts), wall_s, one.server.cpu_s() - cpu_s
