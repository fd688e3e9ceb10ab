"""How many bytes of the tensors of one kind of step differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.program import DType, Program


@dataclass(frozen=True, slots=True)
class Tally:
    """The tensors that one kind of step wrote.

    Attributes:
        steps: How many such steps there are.
        count: Bytes compared.
        different: Bytes that differ.
        greatest: Greatest difference of two bytes.
    """

    steps: int = 0
    count: int = 0
    different: int = 0
    greatest: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            max(self.steps, other.steps),
            self.count + other.count,
            self.different + other.different,
            max(self.greatest, other.greatest),
        )


def tally(
    program: Program, found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]
) -> dict[str, Tally]:
    """Compares the quantized tensors of one batch, by the kind of step that writes them."""
    kinds: dict[str, list[Tally]] = {}
    for step in program.steps:
        if program.tensor(step.output).dtype is DType.UINT8:
            ours, theirs = expected[step.output], found[step.output]
            kinds.setdefault(type(step).__name__, []).append(_compare(ours, theirs))
    return {
        kind: Tally(
            len(parts),
            sum(part.count for part in parts),
            sum(part.different for part in parts),
            max(part.greatest for part in parts),
        )
        for kind, parts in kinds.items()
    }


def _compare(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> Tally:
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        raise ValueError(f"{theirs.dtype} {theirs.shape} is no {ours.dtype} {ours.shape}")
    difference = np.abs(ours.astype(np.int16) - theirs.astype(np.int16))
    return Tally(1, ours.size, int(np.count_nonzero(difference)), int(difference.max(initial=0)))
