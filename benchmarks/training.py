"""What a step of quantization-aware training costs beside one in float.

python -m benchmarks.training --nets mobilenet_v2 --threads 2 --json out.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.environment import environment
from benchmarks.latency import Latency, ratios_turn_by_turn, summarize
from benchmarks.training_steps import CONTESTANTS, Step, make_trainable_net, training_step

NETS = ("resnet18", "efficientnet_lite0", "mobilenet_v2")
WARM_UP = 1


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """Steps of one net.

    Attributes:
        net: Name of the net.
        batch: Samples a step.
        side: Height and width of the images.
        threads: Threads of PyTorch and of the engine's kernels.
        steps: By contestant.
        ratios: Of contestants to float: the median over the rounds of the ratio within a round.
        load: Mean number of runnable threads on the machine during the run, ours among them.
    """

    net: str
    batch: int
    side: int
    threads: int
    steps: dict[str, Latency]
    ratios: dict[str, float]
    load: float


def measure(steps: Mapping[str, Step], rounds: int) -> dict[str, list[float]]:
    """Runs the steps in turns, each round in the other order; returns seconds by contestant."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(-WARM_UP, rounds):
        order = list(steps.items())
        for name, step in order if turn % 2 == 0 else reversed(order):
            start = time.perf_counter()
            step()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def run(net: str, options: argparse.Namespace) -> TrainingRow:
    """Measures one net."""
    made = make_trainable_net(net)
    steps = {
        name: training_step(name, made, options.batch, options.side)
        for name in ("float", *options.contestants)
    }
    measured = {
        name: summarize([[second] for second in seconds])
        for name, seconds in measure(steps, options.rounds).items()
    }
    return TrainingRow(
        net=net,
        batch=options.batch,
        side=options.side,
        threads=options.threads,
        steps=measured,
        ratios={
            name: statistics.median(ratios_turn_by_turn(latency, measured["float"]))
            for name, latency in measured.items()
        },
        load=os.getloadavg()[0],
    )


def table_of(rows: Sequence[TrainingRow]) -> Table:
    """Returns a line for each net and contestant."""
    table = Table("net", "threads", "contestant", "median ms", "minimum ms", "to float", "load")
    for row in rows:
        for name, latency in row.steps.items():
            table.add_row(
                row.net,
                str(row.threads),
                name,
                f"{latency.median_ms:.0f}",
                f"{latency.minimum_ms:.0f}",
                f"{row.ratios[name]:.2f}",
                f"{row.load:.1f}",
            )
    return table


def main() -> None:
    """Measures the nets, shows the table and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=list(NETS))
    peers = [name for name in CONTESTANTS if name != "float"]
    parser.add_argument("--contestants", nargs="+", choices=peers, default=peers)
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument("--side", type=int, default=224, help="height and width of the images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10, help="steps of each contestant")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console(width=120)
    rows: list[TrainingRow] = []
    packages = {name: version(name) for name in ("torch", "torchao")}
    waiting = {"omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "")}
    machine = {**environment(), **packages, **waiting}
    for net in options.nets:
        rows.append(run(net, options))
        console.print(table_of(rows[-1:]))
        if options.json is not None:
            document = {**machine, "rows": [asdict(row) for row in rows]}
            options.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
