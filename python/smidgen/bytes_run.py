"""Runs of an engine from bytes to bytes, for calls so short that making arrays would show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Outcome = tuple[tuple[bytes, ...], float, float]
"""The values of each output, and the seconds of looking at the input and of computing."""


@dataclass(frozen=True, slots=True)
class BytesRun:
    """Runs of one shape of a program's only input.

    Attributes:
        run: Takes the values of the input, little-endian and row-major, aligned or not. None where
            the engine would have to plan or to wait, and for values that `Engine.run` refuses.
        outputs: Name, type and shape of each output, in the program's order.
        output_bytes: Of all outputs.
    """

    run: Callable[[bytes | memoryview], Outcome | None]
    outputs: tuple[tuple[str, str, tuple[int, ...]], ...]
    output_bytes: int
