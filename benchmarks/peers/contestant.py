"""What a contestant is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class NotIntegerError(RuntimeError):
    """A contestant would not run the net with int8 kernels; to measure it would prove nothing."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Who runs, and how.

    Attributes:
        runtime: Module in benchmarks.peers.
        variant: Which of the runtime's settings or models; the runtime's best variant counts.
        environment: Variables to set before the runtime is loaded.
    """

    runtime: str
    variant: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.runtime} {self.variant}"


class Contestant(Protocol):
    """A net loaded by a runtime, ready to run on its input.

    Attributes:
        version: Of the runtime.
        kernels: How many kernels of which kind it runs, by a name that says the type.
    """

    version: str
    kernels: Mapping[str, int]

    def peak(self) -> float | None:
        """Measures the multiply-accumulates a second that it could do at most, if it knows how."""

    def run(self) -> None:
        """Runs once; this is what is measured."""

    def output(self) -> NDArray[np.generic]:
        """Returns the first output of the last run."""
