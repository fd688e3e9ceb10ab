"""The engine at every instruction set against float32 PyTorch: `python -m benchmarks.engine`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.conversion import convert
from benchmarks.interleaved import Latency, measure
from benchmarks.nets import NETS
from smidgen.engine import Engine, available_isas

PEER = "pytorch-float32"
CALIBRATION_SAMPLES = 8
DEFAULT_NETS = ("resnet18", "resnet50", "mobilenet_v2", "efficientnet_lite0")


@dataclass(frozen=True, slots=True)
class Row:
    """One net at one batch size, all contestants measured in turns.

    Attributes:
        net: Name of the net.
        batch: Samples a call.
        threads: Threads of every contestant.
        latencies: By contestant: `pytorch-float32`, or an instruction set of the engine.
    """

    net: str
    batch: int
    threads: int
    latencies: dict[str, Latency]

    @property
    def speedup(self) -> float:
        """Median of PyTorch by the median of the best instruction set."""
        best = self.latencies[available_isas()[-1]]
        return self.latencies[PEER].median_ms / best.median_ms


def run(name: str, *, batch: int, threads: int, rounds: int) -> Row:
    """Measures one net with random weights and random images."""
    net = NETS[name]
    torch.set_num_threads(threads)
    model = net.random()
    program = convert(model, net.samples(CALIBRATION_SAMPLES))
    sample = net.samples(batch)
    tensor = torch.from_numpy(sample)
    (input_name,) = program.inputs
    engines = {isa: Engine(program, threads=threads, isa=isa) for isa in available_isas()[1:]}
    functions: list[Callable[[], object]] = [partial(model, tensor)]
    functions += [partial(engine.run, {input_name: sample}) for engine in engines.values()]
    with torch.inference_mode():
        measured = measure(*functions, rounds=rounds, warm_up=3)
    return Row(name, batch, threads, dict(zip([PEER, *engines], measured, strict=True)))


def environment() -> dict[str, str]:
    """Returns what the numbers depend on."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": str(os.cpu_count()),
        "isas": " ".join(available_isas()),
        "torch": torch.__version__,
        "commit": commit.stdout.strip(),
    }


def main() -> None:
    """Measures, shows a table, and writes JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=DEFAULT_NETS, choices=list(NETS))
    parser.add_argument("--batch", type=int, default=1, help="samples a call")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contestant")
    parser.add_argument("--rounds", type=int, default=50, help="calls to measure")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    table = Table("net", "contestant", "median ms", "minimum ms")
    rows = []
    for name in options.models:
        row = run(name, batch=options.batch, threads=options.threads, rounds=options.rounds)
        rows.append(row)
        for contestant, latency in row.latencies.items():
            ms = f"{latency.median_ms:.3f}", f"{latency.minimum_ms:.3f}"
            table.add_row(name, contestant, *ms)
        table.add_row("", f"[bold]{row.speedup:.1f} times PyTorch", "", "", end_section=True)
    Console().print(environment(), table)
    if options.json:
        document = {**environment(), "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
