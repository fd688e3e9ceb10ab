"""What a conversion gives. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program import Program
from smidgen.report import QuantizationReport


@dataclass(frozen=True, slots=True)
class Conversion:
    """A program and what is known about it.

    Attributes:
        program: The integer program; verified, and equal on engine and reference.
        report: What was quantized and what it brought.
    """

    program: Program
    report: QuantizationReport
