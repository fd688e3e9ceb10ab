"""Each layer by itself, against what the CPU could do at most: `python -m benchmarks.kernels`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.environment import environment
from benchmarks.layers import Layer, layers_of
from benchmarks.nets import NETS
from benchmarks.worker import pin
from smidgen.engine import Engine, available_isas, measure_peak

# Rows, outputs and inputs of what transformers do: BERT-base and MiniLM-L6 at 128 tokens, and
# BERT-base at other lengths.
TRANSFORMER_PRODUCTS = (
    (128, 2304, 768),
    (128, 768, 768),
    (128, 3072, 768),
    (128, 768, 3072),
    (128, 1152, 384),
    (128, 384, 384),
    (128, 1536, 384),
    (128, 384, 1536),
    *((rows, 3072, 768) for rows in (1, 8, 16, 32, 384, 512)),
)
# Rows, outputs and inputs that fit no tile.
UNEVEN_PRODUCTS = tuple(
    (rows, outputs, inputs)
    for rows in (1, 49, 196)
    for outputs in (1, 17, 1000)
    for inputs in (3, 27, 147)
)
LISTS = {"transformers": TRANSFORMER_PRODUCTS, "uneven": UNEVEN_PRODUCTS}
DEFAULT_NETS = ("resnet50", "mobilenet_v2", "mobilenet_v3_large", "efficientnet_lite0")
CHUNKS = 5  # times that each layer is measured, with all others between


@dataclass(frozen=True, slots=True)
class Measurement:
    """One layer at one instruction set and number of threads.

    Attributes:
        layer: What it does.
        kind: What kernel it needs.
        source: The net, or the list, that it is from.
        isa: The instruction set.
        threads: How many threads it had.
        median_us: Half of the runs took at most this long, in microseconds.
        minimum_us: The fastest run.
        rate: Multiply-accumulates a second of the fastest run, in 10^9.
        of_peak: That rate as a part of the peak of as many cores; None at the portable level.
    """

    layer: str
    kind: str
    source: str
    isa: str
    threads: int
    median_us: float
    minimum_us: float
    rate: float
    of_peak: float | None


def named_layers(nets: Sequence[str], lists: Sequence[str], batch: int) -> list[tuple[str, Layer]]:
    """Returns each different layer once, with where it is from."""
    found: dict[Layer, str] = {}
    for net in nets:
        for layer in layers_of(net, batch):
            found.setdefault(layer, net)
    for name in lists:
        for rows, outputs, inputs in LISTS[name]:
            found.setdefault(Layer(rows, inputs, outputs, is_linear=True), name)
    return [(source, layer) for layer, source in found.items()]


def measure(
    layers: Sequence[tuple[str, Layer]], isa: str, threads: int, rounds: int
) -> list[Measurement]:
    """Measures layers with warm weights, without the conversions at a program's ends."""
    engines = [Engine(layer.program(), threads=threads, isa=isa) for _, layer in layers]
    rng = np.random.default_rng(0)
    inputs = []
    for _, layer in layers:
        shape = (layer.batch, layer.inputs, *(() if layer.is_linear else layer.image))
        inputs.append({"x": rng.standard_normal(shape, np.float32)})
    times: list[list[float]] = [[] for _ in layers]
    peak = 0.0
    for _ in range(CHUNKS):
        peak = max(peak, measure_peak(isa) or 0.0)
        for engine, values, seen in zip(engines, inputs, times, strict=True):
            engine.time_steps(values, rounds=3)
            seen.extend(engine.time_steps(values, rounds=-(-rounds // CHUNKS))["y"].tolist())
    found = []
    for (source, layer), seen in zip(layers, times, strict=True):
        rate = layer.multiplications / min(seen)
        found.append(
            Measurement(
                layer=str(layer),
                kind=layer.kind,
                source=source,
                isa=isa,
                threads=threads,
                median_us=1e6 * float(np.median(seen)),
                minimum_us=1e6 * min(seen),
                rate=rate / 1e9,
                of_peak=rate / peak / threads if peak else None,
            )
        )
    return found


def show(measurements: Sequence[Measurement], console: Console) -> None:
    """Prints a table of all layers at one instruction set and number of threads."""
    first = measurements[0]
    table = Table(
        f"{first.isa}, {first.threads} threads", "from", "median us", "minimum us", "GMAC/s", "peak"
    )
    for found in measurements:
        table.add_row(
            found.layer,
            found.source,
            f"{found.median_us:.1f}",
            f"{found.minimum_us:.1f}",
            f"{found.rate:.0f}",
            "" if found.of_peak is None else f"{100 * found.of_peak:.0f} %",
        )
    console.print(table)


def main() -> None:
    """Measures, shows tables, and writes JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=DEFAULT_NETS, choices=list(NETS))
    parser.add_argument("--lists", nargs="*", default=list(LISTS), choices=list(LISTS))
    parser.add_argument("--kinds", nargs="+", help="linear, 1x1, window, stem, depthwise")
    parser.add_argument("--batch", type=int, default=1, help="samples a call, for nets")
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--isa", nargs="+", default=available_isas()[-1:], choices=available_isas())
    parser.add_argument("--rounds", type=int, default=100, help="runs of each layer")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    layers = named_layers(options.models, options.lists, options.batch)
    if options.kinds:
        layers = [(source, layer) for source, layer in layers if layer.kind in options.kinds]
    pin(max(options.threads))
    console = Console(width=110)
    found = []
    for isa in options.isa:
        for threads in options.threads:
            measurements = measure(layers, isa, threads, options.rounds)
            show(measurements, console)
            found += measurements
    if options.json:
        document = {**environment(), "layers": [asdict(measurement) for measurement in found]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
