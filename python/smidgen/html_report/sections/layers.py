"""Every node with all that is known of it."""

from __future__ import annotations

from smidgen.html_report.document import ReportDocument
from smidgen.html_report.labels import label
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import duration, percent, short, size
from smidgen.plural import counted
from smidgen.report import NodeReport, QuantizationReport

REASONS = {
    "FUSED": "part of the operation before it",
    "FOLDED": "folded into the layer before it",
    "REMOVED": "does nothing when the model runs",
    "UNUSED": "its result is not used",
    "FLOAT": "runs on floats",
}
"""What the stable words of a report mean."""

_HEAD = (
    "Layer",
    "Node",
    "Operator",
    "Quantized",
    "Bits",
    "Range",
    "Clipped",
    "Float",
    "Integer",
    "SQNR",
    "Alone",
    "Time",
)
"""The style sheet aligns the cells from the fifth on, which takes less than a class in each."""
_MOST_OPEN = 40


def layers(document: ReportDocument) -> Markup | None:
    """Makes a table with a row for each node of the float model; long ones are folded away."""
    report = document.report
    if report is None:
        return None
    ranges = {
        view.node: (f"{short(view.low)} to {short(view.high)}", view.clipped_share)
        for view in document.activations
    }
    measured = _Measured(report)
    rows = [_row(node, ranges.get(node.node, ("", None)), measured) for node in report.nodes]
    titles = tag("tr", [tag("th", name) for name in _HEAD])
    table = tag("table", tag("thead", titles), tag("tbody", rows), class_="dense")
    scrolled = tag("div", table, class_="scroll")
    if len(rows) > _MOST_OPEN:
        scrolled = tag("details", tag("summary", counted(len(rows), "row")), scrolled)
    explanation = (
        "SQNR is the noise of the layer's own output in the converted model, with that of the "
        "layers before it. Alone is the noise of the model's output if only this layer is "
        "quantized. Float and Integer are bytes of parameters, Time is that of the integer step."
    )
    return tag("section", tag("h2", "All layers"), tag("p", explanation), scrolled)


class _Measured:
    """What was measured of layers, by node."""

    def __init__(self, report: QuantizationReport) -> None:
        alone = () if report.sensitivity is None else report.sensitivity.layers
        times = () if report.latency is None else report.latency.layers
        self.alone = {layer.node: layer.output_sqnr_db for layer in alone}
        self.times = {layer.node: layer.quantized_us for layer in times}
        self.steps = {name: layer.node for layer in times for name in layer.covers}


def _row(node: NodeReport, found: tuple[str, float | None], measured: _Measured) -> Markup:
    outcome = "yes" if node.is_quantized else REASONS.get(node.reason, node.reason)
    span, clipped = found
    alone, time = measured.alone.get(node.node), measured.times.get(node.node)
    step = measured.steps.get(node.node, "")
    cells = (
        label(node),
        node.node,
        node.op,
        outcome,
        str(node.weight_bits) if node.weight_bits else "",
        span,
        "" if clipped is None else percent(clipped, 2),
        size(node.float_bytes) if node.float_bytes else "",
        size(node.quantized_bytes) if node.quantized_bytes else "",
        "" if node.sqnr_db is None else f"{node.sqnr_db:.1f} dB",
        "" if alone is None else f"{alone:.1f} dB",
        f"in {step}" if time is None and step else _time(time),
    )
    kind = None if node.is_quantized else ("float" if node.reason == "FLOAT" else "gone")
    return tag("tr", [tag("td", text) for text in cells], class_=kind)


def _time(microseconds: float | None) -> str:
    return "" if microseconds is None else duration(microseconds)
