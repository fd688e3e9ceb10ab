"""The range of each activation."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.html_report.charts.histogram import histogram
from smidgen.html_report.document import ActivationView
from smidgen.html_report.markup import Markup, join, tag
from smidgen.html_report.numerals import percent, short

_MOST_SHOWN = 24


def ranges(activations: Sequence[ActivationView], calibration: str) -> Markup | None:
    """Draws the histograms with the chosen ranges; all but the first are folded away."""
    if not activations:
        return None
    cards = [_card(activation) for activation in activations]
    shown = tag("div", cards[:_MOST_SHOWN], class_="cards")
    rest = cards[_MOST_SHOWN:]
    folded = tag(
        "details",
        tag("summary", f"{len(rest)} more"),
        tag("div", rest, class_="cards"),
    )
    heading = tag("h2", "Ranges of activations")
    note = tag("p", calibration) if calibration else None
    return tag("section", heading, note, shown, folded if rest else None)


def _card(activation: ActivationView) -> Markup:
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
    return tag("div", tag("h3", activation.node), drawing, tag("p", text), class_="card")
