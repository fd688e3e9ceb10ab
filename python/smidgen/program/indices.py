"""Which inputs of a program are indices into a table, and how many rows that has."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.program.steps import (
    Concat,
    Embedding,
    Expand,
    Gather,
    Reshape,
    Step,
    Transpose,
    step_inputs,
)
from smidgen.program.types import Program

# Steps after which every value of their inputs is still there, and no other.
_KEEPING = (Reshape, Transpose, Expand, Concat)


def index_counts(program: Program) -> dict[str, int]:
    """Returns how many rows the smallest table has that each input selects rows of, by its name.

    Inputs that are changed, or of which only some values are read, have no entry; a run clamps
    what comes of them.
    """
    writers: dict[str, Step] = {step.output: step for step in program.steps}
    counts: dict[str, int] = {}
    for step in program.steps:
        if isinstance(step, Embedding | Gather):
            count = _row_count(program, step)
            for name in _kept_inputs(step.indices, writers):
                if name in program.inputs and count is not None:
                    counts[name] = min(count, counts.get(name, count))
    return counts


def _row_count(program: Program, step: Embedding | Gather) -> int | None:
    if isinstance(step, Embedding):
        return int(program.constants[step.table].shape[0])
    return program.tensor(step.input).shape[step.axis]


def _kept_inputs(tensor: str, writers: Mapping[str, Step]) -> set[str]:
    """Returns the tensors whose values, all of them and unchanged, make up this one."""
    found: set[str] = set()
    waiting = [tensor]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        writer = writers.get(name)
        if isinstance(writer, _KEEPING):
            waiting += step_inputs(writer)
    return found
