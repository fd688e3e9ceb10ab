"""What costs most and what a person should look at before serving the model."""

from __future__ import annotations

from smidgen.html_report.document import ReportDocument
from smidgen.html_report.labels import label, labels_of
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import count_of, percent
from smidgen.plural import counted
from smidgen.report import NodeReport, QuantizationReport

NOISY_DB = 15.0
"""Below it an output's noise is more than a sixth of its signal."""
_MOST_LAYERS = 5
_MOST_WARNINGS = 3
_CLIPPED_SHARE = 0.01


def attention(document: ReportDocument) -> Markup | None:
    """Shows the layers with the most noise and lists what else stands out."""
    report = document.report
    if report is None:
        return None
    found = [
        *_noisy(report),
        *_clipped(document, report),
        *_floats(report),
        *_slow(report),
        *document.warnings[:_MOST_WARNINGS],
    ]
    rest = document.warnings[_MOST_WARNINGS:]
    folded = tag(
        "details",
        tag("summary", f"{counted(len(rest), 'more warning')} of the calibration"),
        tag("ul", [tag("li", line) for line in rest], class_="attention"),
    )
    lines = tag("ul", [tag("li", line) for line in found], class_="attention")
    if not found:
        lines = tag("p", "Nothing else stands out.")
    return tag(
        "section",
        tag("h2", "What hurts most"),
        _worst(document, report),
        lines,
        folded if rest else None,
    )


def _worst(document: ReportDocument, report: QuantizationReport) -> Markup | None:
    """Makes a table of the worst layers: by what they cost alone if that was measured."""
    ranked = _ranking(report)[:_MOST_LAYERS]
    if not ranked:
        return None
    alone = _alone(report)
    noise = {node.node: node for node in report.nodes}
    clipped = {view.node: view.clipped_share for view in document.activations}
    name_of = labels_of(report.nodes)
    head: list[tuple[str, str | None]] = [("Layer", None), ("Operator", None)]
    head += [("Output noise by it alone", "number")] if alone else []
    head += [("Noise of its own output", "number"), ("Clipped", "number")]
    rows = []
    for name in ranked:
        node, share = noise.get(name), clipped.get(name)
        cells: list[tuple[str, str | None]] = [
            (name_of(name), None),
            ("input" if node is None else node.op, None),
        ]
        cells += [(_db(alone[name]), "number")] if alone else []
        cells += [
            (_db(None if node is None else node.sqnr_db), "number"),
            ("" if share is None else percent(share, 2), "number"),
        ]
        rows.append(tag("tr", [tag("td", text, class_=align) for text, align in cells]))
    titles = tag("tr", [tag("th", text, class_=align) for text, align in head])
    return tag("div", tag("table", tag("thead", titles), tag("tbody", rows)), class_="scroll")


def _ranking(report: QuantizationReport) -> list[str]:
    alone = _alone(report)
    if alone:
        return sorted(alone, key=lambda name: alone[name])
    measured = [node for node in report.nodes if node.sqnr_db is not None and node.is_quantized]
    return [node.node for node in sorted(measured, key=_sqnr)]


def _alone(report: QuantizationReport) -> dict[str, float]:
    layers = () if report.sensitivity is None else report.sensitivity.layers
    return {
        layer.node: layer.output_sqnr_db for layer in layers if layer.output_sqnr_db is not None
    }


def _db(ratio: float | None) -> str:
    """Writes a ratio as decibels and as noise in percent of the signal."""
    return "" if ratio is None else f"{ratio:.1f} dB ({percent(10 ** (-ratio / 20))})"


def _noisy(report: QuantizationReport) -> list[str]:
    noisy = [node for node in report.nodes if _sqnr(node) < NOISY_DB]
    if not noisy:
        return []
    worst = min(noisy, key=_sqnr)
    return [
        f"{count_of(len(noisy), 'output')} below {NOISY_DB:g} dB, the worst is {label(worst)} with "
        f"{_sqnr(worst):.1f} dB. If accuracy suffers, train with quantization, or calibrate with "
        "another method."
    ]


def _clipped(document: ReportDocument, report: QuantizationReport) -> list[str]:
    name_of = labels_of(report.nodes)
    return [
        f"{name_of(activation.node)}: {percent(activation.clipped_share)} of its values are "
        "outside the range and are clipped."
        for activation in document.activations
        if activation.clipped_share is not None and activation.clipped_share > _CLIPPED_SHARE
    ]


def _floats(report: QuantizationReport) -> list[str]:
    floats = [node for node in report.nodes if node.reason == "FLOAT"]
    if not floats:
        return []
    kinds = ", ".join(sorted({node.op for node in floats}))
    verb = "runs" if len(floats) == 1 else "run"
    return [f"{counted(len(floats), 'operation')} {verb} on floats: {kinds}."]


def _slow(report: QuantizationReport) -> list[str]:
    layers = () if report.latency is None else report.latency.layers
    slow = [layer for layer in layers if layer.quantized_us > layer.float_us]
    if not slow:
        return []
    worst = max(slow, key=lambda layer: layer.quantized_us - layer.float_us)
    return [
        f"{count_of(len(slow), 'layer')} slower than in float, most of all "
        f"{labels_of(report.nodes)(worst.node)}: {worst.quantized_us:.1f} µs instead of "
        f"{worst.float_us:.1f} µs."
    ]


def _sqnr(node: NodeReport) -> float:
    return node.sqnr_db if node.sqnr_db is not None else float("inf")
