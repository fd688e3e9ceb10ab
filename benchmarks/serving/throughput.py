"""Images a second over gRPC, as a share of what the engine does in a process by itself."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from grpc import aio

from benchmarks.serving.calls import INFER, UnaryCall, pixels_message
from benchmarks.serving.processes import ServerProcess, smidgen_server
from benchmarks.serving.programs import PIXELS, image_program, save
from benchmarks.subject import Weights
from smidgen.engine import Engine

BAR = 0.85
_MODEL = "lite0"


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was measured.

    Attributes:
        batch: Images of a request.
        workers: Requests computed at a time, by one thread each.
        served_per_second: Images over gRPC, uint8, preprocessed by the server.
        engine_per_second: Images in a process by itself, as float32 that is ready.
        share: Median of the ratios of neighbouring slices.
        cpu_share: CPU time of the engine for an image by that of the server.
    """

    batch: int
    workers: int
    served_per_second: float
    engine_per_second: float
    share: float
    cpu_share: float


def measure_throughput(
    folder: Path, *, weights: Weights, batch: int, workers: int, slices: int, slice_s: float
) -> Throughput:
    """Lets the server and the engine compute in turns of `slice_s` seconds, `slices` times."""
    program = image_program(weights)
    path = save(program, folder, _MODEL)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, PIXELS, PIXELS, 3), np.uint8)
    floats = np.ascontiguousarray(
        ((pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2), np.float32
    )
    engine = Engine(program, threads=1)
    (name,) = program.inputs
    request = pixels_message(_MODEL, pixels)
    served: list[tuple[float, float]] = []
    alone: list[tuple[float, float]] = []
    flags = ("--max-concurrent-inferences", str(workers), "--engine-threads", "1")
    with smidgen_server(folder, {_MODEL: path}, *flags) as server:
        for turn in range(-1, slices):
            over_grpc = asyncio.run(serve_slice(server, request, workers, slice_s))
            by_itself = _engine_slice(lambda: engine.run({name: floats}), workers, slice_s)
            if turn >= 0:
                served.append(over_grpc)
                alone.append(by_itself)
    ratios = [over / by for (over, _), (by, _) in zip(served, alone, strict=True)]
    return Throughput(
        batch=batch,
        workers=workers,
        served_per_second=batch * statistics.median(rate for rate, _ in served),
        engine_per_second=batch * statistics.median(rate for rate, _ in alone),
        share=statistics.median(ratios),
        cpu_share=statistics.median(cpu for _, cpu in alone)
        / statistics.median(cpu for _, cpu in served),
    )


async def serve_slice(
    server: ServerProcess, request: bytes, workers: int, seconds: float
) -> tuple[float, float]:
    """Returns requests a second and CPU seconds of the server for each."""
    async with aio.insecure_channel(server.target) as channel:
        call: UnaryCall = channel.unary_unary(INFER)
        await call(request)
        cpu_s, started_s = server.cpu_s(), time.perf_counter()

        async def caller() -> int:
            count = 0
            while time.perf_counter() - started_s < seconds:
                await call(request)
                count += 1
            return count

        # One more than are computed, for the time between an answer and the next request.
        count = sum(await asyncio.gather(*(caller() for _ in range(workers + 1))))
        elapsed_s = time.perf_counter() - started_s
        return count / elapsed_s, (server.cpu_s() - cpu_s) / count


def _engine_slice(run: Callable[[], object], workers: int, seconds: float) -> tuple[float, float]:
    """Returns runs a second and CPU seconds of this process for each."""
    run()
    cpu_s, started_s = time.process_time(), time.perf_counter()

    def caller() -> int:
        count = 0
        while time.perf_counter() - started_s < seconds:
            run()
            count += 1
        return count

    with ThreadPoolExecutor(workers) as threads:
        count = sum(threads.map(lambda _: caller(), range(workers)))
    elapsed_s = time.perf_counter() - started_s
    return count / elapsed_s, (time.process_time() - cpu_s) / count
