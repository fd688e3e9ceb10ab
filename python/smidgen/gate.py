"""Holds a conversion to what it must keep of the float model. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from smidgen.config.gate import GateConfig
from smidgen.errors import GateError
from smidgen.plural import counted
from smidgen.report import GateReport

_WHAT_TO_DO = (
    "keep sensitive layers at more bits or in float, train with quantization simulated, or allow "
    "more"
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a gate looks at.

    Attributes:
        sample_count: Samples measured on, at least 1.
        lost: Samples lost against the float model; None where the output has no classes.
        sqnr_db: Signal to noise ratio of the first output in dB; may be infinite.
        float_accuracy: Accuracy of the float model, 0 to 1; None without class labels.
        quantized_accuracy: Accuracy of the program, 0 to 1; None without class labels.
    """

    sample_count: int
    lost: int | None
    sqnr_db: float
    float_accuracy: float | None = None
    quantized_accuracy: float | None = None

    @property
    def drop(self) -> float | None:
        """`lost` as a share of the samples; None where the output has no classes."""
        return None if self.lost is None else self.lost / self.sample_count

    @property
    def finite_sqnr_db(self) -> float | None:
        """`sqnr_db`, or None where it is not finite."""
        return self.sqnr_db if math.isfinite(self.sqnr_db) else None


@dataclass(frozen=True, slots=True)
class _Miss:
    """A limit that is not kept: its name, what there is, what is allowed, and by how much."""

    limit: str
    found: str
    allowed: str
    missed_by: str
    text: str


def holds_drop(max_drop: float, sample_count: int, lost: int) -> bool:
    """Tells whether a drop is within its limit, which counts as the decimal that it is written as.

    >>> holds_drop(0.29, 100, 29), 29 <= 0.29 * 100
    (True, False)
    """
    return lost <= Fraction(repr(max_drop)) * sample_count


def gate_holds(gate: GateConfig, found: Measured) -> bool:
    """Tells whether check_gate would pass."""
    return not any(True for _ in _misses(gate, found))


def check_gate(gate: GateConfig, found: Measured, *, tried: int | None = None) -> GateReport:
    """Returns the figures of a gate that is passed.

    Args:
        gate: The limits.
        found: The figures.
        tried: How many programs a search measured to find this one; None without a search.

    Raises:
        GateError: it is not; the message has for each limit what was found, what is allowed, and
            by how much it is missed.
    """
    misses = list(_misses(gate, found))
    if not misses:
        return GateReport(
            sample_count=found.sample_count,
            max_drop=gate.max_drop,
            drop=found.drop,
            min_sqnr_db=gate.min_sqnr_db,
            sqnr_db=found.finite_sqnr_db,
        )
    first = misses[0]
    best = f", the best of {tried} programs tried" if tried is not None and tried > 1 else ""
    advice = "let the precision be searched for, " if tried is None else ""
    raise GateError(
        f"{'; '.join(miss.text for miss in misses)}{best}. Nothing was published; "
        f"{advice}{_WHAT_TO_DO}",
        limit=first.limit,
        found=first.found,
        allowed=first.allowed,
        missed_by=first.missed_by,
        sample_count=found.sample_count,
    )


def _misses(gate: GateConfig, found: Measured) -> Iterator[_Miss]:
    if gate.max_drop is not None:
        assert found.lost is not None  # check_measurable
        if not holds_drop(gate.max_drop, found.sample_count, found.lost):
            yield _missed_drop(gate.max_drop, found, found.lost)
    if gate.min_sqnr_db is not None and not found.sqnr_db >= gate.min_sqnr_db:
        by = gate.min_sqnr_db - found.sqnr_db
        yield _Miss(
            "min_sqnr_db",
            f"{found.sqnr_db:.2f}",
            f"{gate.min_sqnr_db:g}",
            f"{by:.2f}",
            f"the output's signal to noise ratio is {found.sqnr_db:.2f} dB on "
            f"{counted(found.sample_count, 'sample')}, at least {gate.min_sqnr_db:g} dB is asked, "
            f"missed by {by:.2f} dB",
        )


def _missed_drop(max_drop: float, found: Measured, lost: int) -> _Miss:
    drop = lost / found.sample_count
    by = float(Fraction(lost, found.sample_count) - Fraction(repr(max_drop)))
    if found.float_accuracy is None or found.quantized_accuracy is None:
        what = (
            f"program and float model say different classes of {lost} of {found.sample_count} "
            f"samples, a drop of {drop:.4f}"
        )
    else:
        what = (
            f"accuracy drops by {drop:.4f}, from {found.float_accuracy:.4f} in float to "
            f"{found.quantized_accuracy:.4f} on {counted(found.sample_count, 'sample')}"
        )
    return _Miss(
        "max_drop",
        f"{drop:.6g}",
        f"{max_drop:g}",
        f"{by:.6g}",
        f"{what}; max_drop allows {max_drop:g}, missed by {by:.4g}",
    )
