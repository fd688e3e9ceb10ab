"""What the engine made of a program for one set of input shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step of a plan, which stands for one or several steps of the program.

    Attributes:
        output: The tensor that it writes.
        quantized: The tensor in which it writes the output once more, quantized, if it does.
        absorbed: Outputs of the program's steps that became part of it, in order; they are nowhere
            in memory.
        inputs: Tensors that its first part reads.
        parts: How many parts threads share it in.
        candidate: Which of the ways to do it was chosen, 0 being the one expected to be best.
    """

    output: str
    quantized: str | None
    absorbed: tuple[str, ...]
    inputs: tuple[str, ...]
    parts: int
    candidate: int


@dataclass(frozen=True, slots=True)
class PlanDescription:
    """The steps of a plan and where its tensors lie.

    Attributes:
        steps: In the order in which they run. Steps that only move bytes to where they could have
            been written at once are not among them.
        borders: Pixels of border of those tensors that have one: top, left, bottom, right.
        slices: Tensors whose values lie among the channels of another, and that one.
        aliases: Tensors that lie where another does, as its bytes in a different shape or as what
            a step wrote over it, and that one.
        arena_bytes: Memory for activations.
        scratch_bytes: Temporary memory of all threads.
    """

    steps: tuple[PlannedStep, ...]
    borders: Mapping[str, tuple[int, int, int, int]]
    slices: Mapping[str, str]
    aliases: Mapping[str, str]
    arena_bytes: int
    scratch_bytes: int

    @classmethod
    def from_indices(cls, plan: Mapping[str, Any], names: Sequence[str]) -> PlanDescription:
        """Builds it from what the engine says about tensors by their indices."""
        steps = tuple(
            PlannedStep(
                output=names[step["output"]],
                quantized=None if step["quantized"] < 0 else names[step["quantized"]],
                absorbed=tuple(names[index] for index in step["absorbed"]),
                inputs=tuple(names[index] for index in step["inputs"]),
                parts=step["parts"],
                candidate=step["candidate"],
            )
            for step in plan["steps"]
        )
        return cls(
            steps=steps,
            borders={names[index]: border for index, border in plan["borders"].items()},
            slices={names[index]: names[owner] for index, owner in plan["slices"].items()},
            aliases={names[index]: names[owner] for index, owner in plan["aliases"].items()},
            arena_bytes=plan["arena_bytes"],
            scratch_bytes=plan["scratch_bytes"],
        )
