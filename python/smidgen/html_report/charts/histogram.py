"""How the values of an activation are spread, and the range chosen for them."""

from __future__ import annotations

import math

from smidgen.html_report.charts.axis import Axis
from smidgen.html_report.charts.frame import picture
from smidgen.html_report.document import ActivationView
from smidgen.html_report.markup import Markup, join, tag

_WIDTH, _HEIGHT = 240.0, 84.0
_BASE, _TOP = 78.0, 6.0
_MOST_BARS = 40


def histogram(activation: ActivationView) -> Markup:
    """Draws the counts on a logarithmic scale, as tails are what a range is chosen for."""
    low = min(activation.edges[0], activation.low)
    high = max(activation.edges[1], activation.high)
    across = Axis(low, high if high > low else low + 1.0, 4.0, _WIDTH - 4.0)
    begin, end = across.place(activation.low), across.place(activation.high)
    return picture(
        f"{activation.node}: values and the range {activation.low:.4g} to {activation.high:.4g}",
        _WIDTH,
        _HEIGHT,
        tag("rect", x=begin, y=0, width=max(end - begin, 1.0), height=_BASE, class_="kept"),
        _bars(activation, across),
        tag("line", x1=4, x2=_WIDTH - 4, y1=_BASE, y2=_BASE, class_="base"),
        _limit(begin),
        _limit(end),
    )


def _bars(activation: ActivationView, across: Axis) -> Markup:
    counts = _gathered(activation.counts)
    if not any(counts):
        return join()
    first, last = activation.edges
    width = (last - first) / len(counts)
    most = math.log1p(max(counts))

    outlines: dict[bool, list[str]] = {True: [], False: []}
    for index, count in enumerate(counts):
        left, right = (across.place(first + (index + side) * width) for side in (0, 1))
        height = (_BASE - _TOP) * math.log1p(count) / most
        is_kept = activation.low <= first + (index + 0.5) * width <= activation.high
        if count:
            outlines[is_kept].append(_bar(left, right, height))
    return join(
        tag("path", d="".join(outline), class_=f"fill {'c1' if is_kept else 'bad'}")
        for is_kept, outline in outlines.items()
        if outline
    )


def _bar(left: float, right: float, height: float) -> str:
    """Returns a bar as a part of a path, which takes a quarter of what an element does."""
    width = max(right - left - 0.5, 0.5)
    return f"M{left:.1f} {_BASE:g}v-{height:.1f}h{width:.1f}v{height:.1f}z"


def _limit(x: float) -> Markup:
    return tag("line", x1=x, x2=x, y1=0, y2=_BASE, class_="limit")


def _gathered(counts: tuple[int, ...]) -> list[int]:
    """Sums of neighbouring bins, at most as many as there is room for."""
    together = -(-len(counts) // _MOST_BARS) or 1
    return [sum(counts[at : at + together]) for at in range(0, len(counts), together)]
