"""What looking at quantization takes from a server's throughput: one with it and one without."""

from __future__ import annotations

import asyncio
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.serving.calls import pixels_message
from benchmarks.serving.processes import ServerProcess, smidgen_server
from benchmarks.serving.programs import PIXELS, image_program, save
from benchmarks.serving.throughput import serve_slice
from benchmarks.subject import Weights

BAR = 0.98
_MODEL = "lite0"
_OFF = ("--health-sample-rate", "0")


@dataclass(frozen=True, slots=True)
class HealthCost:
    """What was measured.

    Attributes:
        workers: Requests computed at a time, by one thread each.
        rounds: Pairs of slices.
        on_per_second: Images a second with quantization looked at, median.
        off_per_second: Without.
        ratio: Median of the ratios of neighbouring slices, with to without.
        lower_quartile: Of these ratios.
        upper_quartile: Likewise.
        cpu_ratio: Median ratio of CPU time for an image, with to without.
    """

    workers: int
    rounds: int
    on_per_second: float
    off_per_second: float
    ratio: float
    lower_quartile: float
    upper_quartile: float
    cpu_ratio: float


def measure_health(
    folder: Path, *, weights: Weights, workers: int, rounds: int, slice_s: float
) -> HealthCost:
    """Lets two servers answer in turns of `slice_s` seconds, the first one in turns too.

    Slices should be longer than the pauses between samples, seconds for this model.
    """
    path = save(image_program(weights), folder, _MODEL)
    pixels = np.random.default_rng(0).integers(0, 256, (1, PIXELS, PIXELS, 3), np.uint8)
    request = pixels_message(_MODEL, pixels)
    common = ("--max-concurrent-inferences", str(workers), "--engine-threads", "1")
    rates: dict[str, list[tuple[float, float]]] = {"on": [], "off": []}
    with ExitStack() as stack:
        servers: dict[str, ServerProcess] = {
            name: stack.enter_context(
                smidgen_server(folder / name, {_MODEL: path}, *common, *flags)
            )
            for name, flags in (("on", ()), ("off", _OFF))
        }
        for turn in range(-1, rounds):
            order = ("on", "off") if turn % 2 else ("off", "on")
            for name in order:
                found = asyncio.run(serve_slice(servers[name], request, workers, slice_s))
                if turn >= 0:
                    rates[name].append(found)
    return _cost(workers, rates["on"], rates["off"])


def _cost(
    workers: int, on: list[tuple[float, float]], off: list[tuple[float, float]]
) -> HealthCost:
    pairs = list(zip(on, off, strict=True))
    ratios = [with_it[0] / without[0] for with_it, without in pairs]
    lower, _, upper = statistics.quantiles(ratios, n=4)
    return HealthCost(
        workers=workers,
        rounds=len(pairs),
        on_per_second=statistics.median(rate for rate, _ in on),
        off_per_second=statistics.median(rate for rate, _ in off),
        ratio=statistics.median(ratios),
        lower_quartile=lower,
        upper_quartile=upper,
        cpu_ratio=statistics.median(with_it[1] / without[1] for with_it, without in pairs),
    )
