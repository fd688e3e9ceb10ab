"""The layers that cost the output most, ranked."""

from __future__ import annotations

from smidgen.html_report.charts.bars import Bar, bar_list
from smidgen.html_report.labels import labels_of
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import percent
from smidgen.measured import LayerSensitivity
from smidgen.plural import counted
from smidgen.report import QuantizationReport

_MOST_SHOWN = 12


def sensitivity(report: QuantizationReport) -> Markup | None:
    """Draws each layer's share of the noise that the layers cause one by one, the worst first."""
    found = report.sensitivity
    if found is None:
        return None
    noisy = [(layer, _power(layer)) for layer in found.layers]
    whole = sum(power for _, power in noisy)
    if whole == 0.0:
        return None
    name_of = labels_of(report.nodes)
    largest = max(power for _, power in noisy)
    bars = [
        Bar(name_of(layer.node), _text(layer, power / whole), power / largest, "c1")
        for layer, power in sorted(noisy, key=lambda item: -item[1])
    ]
    rest = bars[_MOST_SHOWN:]
    folded = tag("details", tag("summary", f"{len(rest)} more"), bar_list(rest))
    explanation = (
        "Each layer was quantized alone, all others stayed in float. A bar is the layer's share of "
        f"the noise that the output gets in this way; measured on "
        f"{counted(found.sample_count, 'sample')}."
    )
    missing = found.layer_count - len(found.layers)
    if missing:
        explanation += (
            f" There was no time for {missing} of "
            f"{counted(found.layer_count, 'layer')}, whose own outputs have less noise."
        )
    return tag(
        "section",
        tag("h2", "Sensitivity ranking"),
        tag("p", explanation),
        bar_list(bars[:_MOST_SHOWN]),
        folded if rest else None,
    )


def _power(layer: LayerSensitivity) -> float:
    """Returns noise by signal of the output."""
    return 0.0 if layer.output_sqnr_db is None else float(10 ** (-layer.output_sqnr_db / 10))


def _text(layer: LayerSensitivity, share: float) -> str:
    if layer.output_sqnr_db is None:
        return "no noise"
    return f"{percent(share)} ({layer.output_sqnr_db:.1f} dB)"
