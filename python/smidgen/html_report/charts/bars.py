"""Named horizontal bars, one below the other. Names may be long: they wrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smidgen.html_report.markup import Markup, tag


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        name: To its left.
        text: To its right.
        share: Its length, 0 to 1 of the room.
        colour: Class of its colour.
    """

    name: str
    text: str
    share: float
    colour: str


def bar_list(bars: Sequence[Bar]) -> Markup:
    """Lays bars out as rows."""
    return tag("div", [_row(bar) for bar in bars], class_="bars")


def _row(bar: Bar) -> Markup:
    length = 100 * min(1.0, max(0.0, bar.share))
    filled = tag("i", class_=f"bar {bar.colour}", style=f"width:{length:.1f}%")
    return tag(
        "div",
        tag("span", bar.name, class_="name"),
        tag("span", filled, class_="track"),
        tag("span", bar.text, class_="value"),
        class_="row",
    )
