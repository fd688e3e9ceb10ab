"""What a report shows, gathered from wherever it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.plural import counted
from smidgen.report import QuantizationReport


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Where training stood after some steps.

    Attributes:
        step: Optimizer steps done.
        stage: What training was doing until then, in lower case; empty between evaluations.
        task_loss: Mean task loss since the point before; None if not measured.
        quantization_loss: The same of the quantization loss, not weighted.
        held_out_loss: Task loss on the held-out split; None between evaluations.
        accuracy: On the held-out split, 0 to 1; None between evaluations.
        agreement: Share of the held-out split on which both models say the same, likewise.
    """

    step: int
    stage: str = ""
    task_loss: float | None = None
    quantization_loss: float | None = None
    held_out_loss: float | None = None
    accuracy: float | None = None
    agreement: float | None = None


@dataclass(frozen=True, slots=True)
class ActivationView:
    """The range that calibration chose for an activation.

    Attributes:
        node: Name in the imported graph.
        low: Least real value that is not clipped.
        high: Largest.
        scale: Step between two integers.
        zero_point: The integer of 0.
        edges: Ends of the histogram; equal if there is none.
        counts: Values in each bin between the edges; empty if there is none.
        clipped_share: Share of the values outside the range; None if not known.
    """

    node: str
    low: float
    high: float
    scale: float
    zero_point: int
    edges: tuple[float, float] = (0.0, 0.0)
    counts: tuple[int, ...] = ()
    clipped_share: float | None = None


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """All that one page shows.

    Attributes:
        title: What was converted, for instance `models/digits/versions/2`.
        report: What quantization did; None for a training alone.
        facts: Names and values for the page's end: digests, jobs, times.
        activations: Ranges, in execution order; empty without a calibration.
        calibration: One line on how they came about; may be empty.
        warnings: What calibration warned of.
        curve: Training in the order of steps; empty without training.
        is_trained: Whether training made the weights that were quantized.
    """

    title: str
    report: QuantizationReport | None = None
    facts: tuple[tuple[str, str], ...] = ()
    activations: tuple[ActivationView, ...] = ()
    calibration: str = ""
    warnings: tuple[str, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    is_trained: bool = False


def calibration_line(sample_count: int, batch_count: int, method: str) -> str:
    """Says in a line how a calibration came about; the method is that of a profile."""
    seen = f"{counted(sample_count, 'sample')} in {counted(batch_count, 'batch')}"
    return f"{seen}, method {method.replace('_', ' ')}."
