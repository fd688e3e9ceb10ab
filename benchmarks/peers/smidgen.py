"""The engine; a variant is an instruction set."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
from numpy.typing import NDArray

import smidgen
from benchmarks.subject import Subject
from smidgen.artifact import load_artifact
from smidgen.engine import Engine, measure_peak


class SmidgenContestant:
    """A program in the engine, run from Python as any user would."""

    def __init__(self, subject: Subject, variant: str, threads: int) -> None:
        program = load_artifact(subject.artifact)
        self.version = smidgen.__version__
        self.kernels = Counter(type(step).__name__ for step in program.steps)
        self._engine = Engine(program, threads=threads, isa=variant)
        self._inputs = subject.inputs()
        self._output = program.outputs[0]
        self._values: dict[str, NDArray[np.generic]] = {}

    def peak(self) -> float | None:
        """Measures the multiply-accumulates a second that all its threads could do at most.

        Of the CPUs that it may use, the slowest counts.
        """
        cpus = os.sched_getaffinity(0)
        try:
            peaks = [self._peak_of(cpu) for cpu in cpus]
        finally:
            os.sched_setaffinity(0, cpus)
        known = [peak for peak in peaks if peak is not None]
        return self._engine.threads * min(known) if known else None

    def _peak_of(self, cpu: int) -> float | None:
        os.sched_setaffinity(0, [cpu])  # of this thread alone
        return measure_peak(self._engine.isa)

    def run(self) -> None:
        """Runs once."""
        self._values = self._engine.run(self._inputs, check_finite=False)

    def output(self) -> NDArray[np.generic]:
        """Returns the first output of the last run."""
        return self._values[self._output]


def prepare(subject: Subject, variant: str, threads: int) -> None:
    """Does nothing; the files are there."""


load = SmidgenContestant
