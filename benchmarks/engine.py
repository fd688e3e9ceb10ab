"""The engine against other runtimes on whole nets: `python -m benchmarks.engine`."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.document import write_document
from benchmarks.entries import IMAGE_VARIANTS, OURS, entries, integer_peers
from benchmarks.environment import environment
from benchmarks.nets import NETS, PRETRAINED
from benchmarks.preparation import prepare_float, prepare_program
from benchmarks.row import Row
from benchmarks.subject import Subject, Weights
from benchmarks.turns import measure
from benchmarks.worker import Introduction, Worker, WorkerError
from smidgen.engine import available_isas
from smidgen.errors import SmidgenError
from smidgen.program.multiplications import total_multiplications

DEFAULT_NETS = tuple(name for name in NETS if name != "digits")
MOST_DIFFERENCE = 1.0  # from there on, an output of zeros would be as near


def run(subject: Subject, macs: int, threads: int, isa: str, options: argparse.Namespace) -> Row:
    """Measures all contestants on one subject."""
    workers: dict[str, Worker] = {}
    failures = {}
    contestants = entries(
        subject,
        isa,
        threads,
        options.peers,
        quick=options.quick,
        uncapped=options.peers_uncapped,
    )
    try:
        for entry in contestants:
            try:
                workers[entry.name] = Worker(entry, subject, threads)
            except WorkerError as error:
                failures[entry.name] = str(error)
        for name, failure in strangers(introductions_of(workers)).items():
            failures[name] = failure
            workers.pop(name).close()
        ours = workers.get(f"{OURS} {isa}")
        peaks: list[float | None] = []
        latencies = measure(
            workers, options.rounds, lambda: peaks.append(ours.peak() if ours else None)
        )
    finally:
        for worker in workers.values():
            worker.close()
    introductions = introductions_of(workers)
    return Row(
        subject.net,
        subject.weights,
        subject.batch,
        threads,
        isa,
        macs,
        tuple(filter(None, peaks)),
        latencies,
        {name: found.kernels for name, found in introductions.items()},
        differences(introductions),
        {name: found.version for name, found in introductions.items()},
        {entry.name: entry.environment for entry in contestants if entry.environment},
        failures,
    )


def introductions_of(workers: Mapping[str, Worker]) -> dict[str, Introduction]:
    """Returns what contestants said about themselves, in order."""
    return {name: worker.introduction for name, worker in workers.items()}


def strangers(introductions: Mapping[str, Introduction]) -> dict[str, str]:
    """Returns why contestants do not count whose outputs are not the net's, whoever is right."""
    return {
        name: f"Its output differs from the first contestant's by {difference:.2f} of that."
        for name, difference in differences(introductions).items()
        if not difference < MOST_DIFFERENCE
    }


def differences(introductions: Mapping[str, Introduction]) -> dict[str, float]:
    """Returns the ratio of each one's difference from the first one's output to that output."""
    outputs = {name: found.output.astype(np.float64) for name, found in introductions.items()}
    first = next(iter(outputs.values()), np.ones(1))
    return {
        name: float(np.linalg.norm(output - first) / np.linalg.norm(first))
        for name, output in outputs.items()
    }


def show(row: Row, peers: Sequence[str], console: Console) -> None:
    """Prints a row's table."""
    table = Table(
        f"{row.net}, batch {row.batch}, {row.threads} threads",
        "median ms",
        "minimum ms",
        "GMAC/s",
        "of the peak",
        "difference",
    )
    for name, latency in row.latencies.items():
        rate = 1e3 * row.multiplications / latency.minimum_ms
        table.add_row(
            name,
            f"{latency.median_ms:.3f}",
            f"{latency.minimum_ms:.3f}",
            f"{rate / 1e9:.0f}",
            f"{100 * rate / row.peak:.0f} %" if row.peak else "",
            f"{row.differences[name]:.4f}",
        )
    for name, failure in row.failures.items():
        table.add_row(name, textwrap.shorten(failure.strip().splitlines()[-1], 60))
    console.print(table)
    for statistic in ("median_ms", "minimum_ms"):
        found = row.ratio(peers, statistic)
        if found is not None:
            best = row.best_peer(peers, statistic)
            console.print(f"  {statistic}: [bold]{found:.2f}[/] times {best}")
    for rounds, counted in ((None, "all rounds"), (row.undisturbed, "undisturbed rounds")):
        by_turns = row.ratio_turn_by_turn(peers, rounds)
        if by_turns is not None:
            console.print(f"  turn by turn, {counted}: [bold]{by_turns:.2f}[/] times the best peer")
    if row.undisturbed:
        console.print(f"  undisturbed: {sum(row.undisturbed)} rounds of {len(row.undisturbed)}")


def show_means(rows: Sequence[Row], peers: Sequence[str], console: Console) -> None:
    """Prints the geometric means of the rows' ratios."""
    found = {
        "median_ms": [row.ratio(peers, "median_ms") for row in rows],
        "minimum_ms": [row.ratio(peers, "minimum_ms") for row in rows],
        "turn by turn": [row.ratio_turn_by_turn(peers) for row in rows],
        "turn by turn, undisturbed": [
            row.ratio_turn_by_turn(peers, row.undisturbed) for row in rows
        ],
    }
    for statistic, ratios in found.items():
        known = [ratio for ratio in ratios if ratio is not None]
        if known:
            mean = statistics.geometric_mean(known)
            console.print(f"geometric mean of the ratios, {statistic}: [bold]{mean:.2f}")


def measure_net(name: str, options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Measures one net at all batch sizes and numbers of threads."""
    subjects = prepare_float(name, options.batch, folder, options.weights)
    try:
        program = prepare_program(subjects[0])
    except SmidgenError as error:
        print(f"{name} cannot be converted: {error}", file=sys.stderr)  # noqa: T201
        program = None
    for subject in subjects:
        macs = 0 if program is None else total_multiplications(program, subject.batch)
        for threads in options.threads:
            yield run(subject, macs, threads, options.isa, options)


def parse_options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=list(NETS), help="all by default")
    parser.add_argument("--batch", nargs="+", type=int, default=[1], help="samples a call")
    parser.add_argument("--threads", nargs="+", type=int, default=[1])
    parser.add_argument("--weights", default="random", choices=get_args(Weights))
    parser.add_argument("--isa", default=available_isas()[-1], choices=available_isas())
    parser.add_argument(
        "--peers",
        nargs="*",
        default=["onnxruntime", "openvino", "inductor"],
        choices=list(IMAGE_VARIANTS),
    )
    parser.add_argument(
        "--peers-uncapped",
        action="store_true",
        help="let peers use all that the CPU has, also where --isa is a lower level",
    )
    parser.add_argument("--rounds", type=int, default=20, help="turns of every contestant")
    parser.add_argument(
        "--quick", action="store_true", help="leave out the models that the peers quantize"
    )
    parser.add_argument("--json", type=Path, help="file for the results, written after each row")
    options = parser.parse_args()
    having = list(PRETRAINED) if options.weights == "pretrained" else list(NETS)
    options.models = options.models or [name for name in DEFAULT_NETS if name in having]
    lacking = [name for name in options.models if name not in having]
    if lacking:
        parser.error(
            f"there are no pretrained weights of {', '.join(lacking)}; "
            f"--models can be any of: {', '.join(having)}"
        )
    return options


def main() -> None:
    """Measures, shows tables, writes JSON where asked to; fails if a contestant did."""
    options = parse_options()
    console = Console(width=120)
    machine = environment()
    rows = []
    peers = integer_peers(options.peers)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            for row in measure_net(name, options, Path(folder)):
                show(row, peers, console)
                rows.append(row)
                if options.json:  # after each, so that an interrupted run keeps what it has
                    write_document(options.json, machine, rows, peers)
    show_means(rows, peers, console)
    failures = [(row.net, *failure) for row in rows for failure in row.failures.items()]
    for net, name, text in failures:
        console.print(f"{net}, {name}:\n{text}", markup=False)
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
