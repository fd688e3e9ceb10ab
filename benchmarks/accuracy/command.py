"""The command line that all accuracy benchmarks share."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from rich.console import Console

from benchmarks.accuracy.table import markdown, write_trials
from benchmarks.accuracy.trial import Subject, run_trial
from benchmarks.environment import environment


def run(subject: Subject) -> None:
    """Runs the seeds that the command line names, prints the table and writes the file."""
    parser = argparse.ArgumentParser(description=f"What quantization costs on {subject.name}.")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write the trials as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    trials = []
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        start = time.monotonic()
        trials.append(run_trial(subject, seed))
        seconds = time.monotonic() - start
        console.print(f"seed {seed}: {dict(trials[-1].correct)}, {seconds:.0f} s", soft_wrap=True)
        if arguments.out is not None:
            write_trials(arguments.out, environment(), subject.name, trials)
    console.print(markdown(subject.name, trials), soft_wrap=True, markup=False)
