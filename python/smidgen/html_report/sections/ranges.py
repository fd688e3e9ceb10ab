"""The range of each activation."""

from __future__ import annotations

from smidgen.html_report.charts.histogram import histogram
from smidgen.html_report.document import ActivationView, ReportDocument
from smidgen.html_report.labels import labels_of
from smidgen.html_report.markup import Markup, join, tag
from smidgen.html_report.numerals import percent, short

_MOST_SHOWN = 12


def ranges(document: ReportDocument) -> Markup | None:
    """Draws the histograms with the chosen ranges, those of the noisiest outputs first."""
    activations = document.activations
    if not activations:
        return None
    nodes = () if document.report is None else document.report.nodes
    noise = {node.node: node.sqnr_db for node in nodes}
    name_of = labels_of(nodes)

    def ratio(view: ActivationView) -> float:
        found = noise.get(view.node)
        return float("inf") if found is None else found

    cards = [_card(view, name_of(view.node)) for view in sorted(activations, key=ratio)]
    rest = cards[_MOST_SHOWN:]
    folded = tag("details", tag("summary", f"{len(rest)} more"), tag("div", rest, class_="cards"))
    explanation = (
        f"{document.calibration} Bars are counts of values on a logarithmic scale; the two lines "
        "are the ends of the chosen range, and what lies outside, in red, is clipped to them. The "
        "noisiest outputs come first."
    )
    return tag(
        "section",
        tag("h2", "Ranges of activations"),
        tag("p", explanation.strip()),
        tag("div", cards[:_MOST_SHOWN], class_="cards"),
        folded if rest else None,
    )


def _card(activation: ActivationView, name: str) -> Markup:
    clipped = (
        ""
        if activation.clipped_share is None
        else f", {percent(activation.clipped_share, 2)} clipped"
    )
    text = (
        f"{short(activation.low)} to {short(activation.high)}, scale {short(activation.scale)}, "
        f"zero point {activation.zero_point}{clipped}"
    )
    drawing = histogram(activation) if any(activation.counts) else join()
    return tag("div", tag("h3", name), drawing, tag("p", text), class_="card")
