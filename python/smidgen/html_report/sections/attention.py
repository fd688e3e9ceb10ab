"""What a person should look at before serving the model."""

from __future__ import annotations

from smidgen.html_report.document import ReportDocument
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import percent
from smidgen.report import NodeReport

NOISY_DB = 15.0
"""Below it an output's noise is more than a sixth of its signal."""
_MOST_LAYERS = 5
_CLIPPED_SHARE = 0.01


def attention(document: ReportDocument) -> Markup:
    """Lists warnings, noisy layers and layers that stayed in float, or says that there are none."""
    found = [*document.warnings, *_noisy(document), *_clipped(document), *_floats(document)]
    if not found:
        return tag("section", tag("h2", "What needs attention"), tag("p", "Nothing was found."))
    return tag(
        "section",
        tag("h2", "What needs attention"),
        tag("ul", [tag("li", line) for line in found], class_="attention"),
    )


def _noisy(document: ReportDocument) -> list[str]:
    measured = [node for node in document.report.nodes if node.sqnr_db is not None]
    noisy = sorted((node for node in measured if _sqnr(node) < NOISY_DB), key=_sqnr)
    named = [
        f"{_name(node)}: quantization noise is {_sqnr(node):.1f} dB below the signal; "
        "train with quantization, calibrate with another method, or keep the layer in float."
        for node in noisy[:_MOST_LAYERS]
    ]
    rest = len(noisy) - len(named)
    return [*named, f"{rest} more layers are below {NOISY_DB:g} dB."] if rest else named


def _clipped(document: ReportDocument) -> list[str]:
    return [
        f"{activation.node}: {percent(activation.clipped_share)} of its values are outside the "
        "range and are clipped."
        for activation in document.activations
        if activation.clipped_share is not None and activation.clipped_share > _CLIPPED_SHARE
    ]


def _floats(document: ReportDocument) -> list[str]:
    floats = [node for node in document.report.nodes if node.reason == "FLOAT"]
    if not floats:
        return []
    kinds = ", ".join(sorted({node.op for node in floats}))
    count = "1 operation runs" if len(floats) == 1 else f"{len(floats)} operations run"
    return [f"{count} on floats: {kinds}."]


def _sqnr(node: NodeReport) -> float:
    return node.sqnr_db if node.sqnr_db is not None else float("inf")


def _name(node: NodeReport) -> str:
    return f"{node.node} ({node.module_path})" if node.module_path else node.node
