"""The noise that quantization added, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.html_report.charts.columns import Column, column_chart
from smidgen.html_report.labels import label
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.sections.attention import NOISY_DB
from smidgen.report import NodeReport

_FAIR_DB = 25.0


def noise(nodes: Sequence[NodeReport]) -> Markup | None:
    """Draws the signal-to-noise ratio of each output, in the order in which layers run."""
    measured = [(node, node.sqnr_db) for node in nodes if node.sqnr_db is not None]
    if not measured:
        return None
    columns = [
        Column(f"{label(node)}: {sqnr:.1f} dB", ((_colour(sqnr), sqnr),)) for node, sqnr in measured
    ]
    chart = column_chart("Signal to quantization noise of each output in dB", columns)
    explanation = (
        "Higher is better: at 20 dB noise is a tenth of the signal, at 40 dB a hundredth. Noise of "
        f"earlier layers is in the later ones. Below {NOISY_DB:g} dB columns are red."
    )
    return tag("section", tag("h2", "Noise by layer"), tag("p", explanation), chart)


def _colour(sqnr: float) -> str:
    if sqnr < NOISY_DB:
        return "bad"
    return "fair" if sqnr < _FAIR_DB else "good"
