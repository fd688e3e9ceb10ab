"""Where the time of a net goes, step by step: `python -m benchmarks.profile mobilenet_v2`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.conversion import convert
from benchmarks.nets import NETS
from smidgen.engine import Engine
from smidgen.program import Conv2d, Program, Step
from smidgen.program.multiplications import multiplications, total_multiplications

Seconds = Mapping[str, NDArray[np.float64]]


def describe(program: Program, step: Step) -> str:
    """Says in a few words what a step does."""
    shape = "x".join("N" if n is None else str(n) for n in program.tensor(step.output).shape)
    text = f"{type(step).__name__} -> {shape}"
    if isinstance(step, Conv2d):
        kernel = "x".join(map(str, program.constants[step.weight].shape[1:]))
        text += f", kernel {kernel}, stride {step.stride[0]}"
        text += f", groups {step.groups}" if step.groups > 1 else ""
    return text


def step_table(program: Program, seconds: Seconds, batch: int) -> Table:
    """Returns a row for each step that the engine ran."""
    table = Table("step", "output", "median us", "minimum us", "share", "GMAC/s")
    fastest = {output: times.min() for output, times in seconds.items()}
    whole = sum(fastest.values())
    for step in program.steps:
        if step.output not in seconds:
            continue
        minimum = fastest[step.output]
        rate = multiplications(program, step, batch) / minimum / 1e9
        table.add_row(
            describe(program, step),
            step.output,
            f"{1e6 * np.median(seconds[step.output]):.1f}",
            f"{1e6 * minimum:.1f}",
            f"{100 * minimum / whole:.1f} %",
            f"{rate:.0f}" if rate else "",
        )
    rate = total_multiplications(program, batch) / whole / 1e9
    table.add_row("all", "", "", f"{1e6 * whole:.1f}", "100 %", f"{rate:.0f}")
    return table


def main() -> None:
    """Converts a net, runs it and shows the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net", choices=list(NETS))
    parser.add_argument("--batch", type=int, default=1, help="samples a call")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="instruction set; the best by default")
    parser.add_argument("--rounds", type=int, default=100, help="runs to measure")
    options = parser.parse_args()
    net = NETS[options.net]
    program = convert(net.random(), net.samples(8))
    engine = Engine(program, threads=options.threads, isa=options.isa)
    samples = net.samples(options.batch)
    inputs = dict(zip(program.inputs, samples.values(), strict=True))
    engine.time_runs(inputs, rounds=10)
    runs = engine.time_runs(inputs, rounds=options.rounds)
    seconds = engine.time_steps(inputs, rounds=options.rounds)
    console = Console(width=160)
    console.print(step_table(program, seconds, options.batch))
    median, minimum = 1e3 * np.median(runs), 1e3 * runs.min()
    console.print(f"{options.net}, {engine.isa}: whole run {median:.3f} ms, minimum {minimum:.3f}")


if __name__ == "__main__":
    main()
