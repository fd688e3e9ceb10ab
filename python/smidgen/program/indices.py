"""Which inputs of a program are indices of rows."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.program.steps import Embedding
from smidgen.program.types import Program


def index_counts(program: Program) -> Mapping[str, int]:
    """Returns how many rows the smallest table has that each input selects rows of, by its name."""
    counts: dict[str, int] = {}
    for step in program.steps:
        if isinstance(step, Embedding) and step.indices in program.inputs:
            rows = program.constants[step.table].shape[0]
            counts[step.indices] = min(counts.get(step.indices, rows), rows)
    return counts
