"""What charts have in common."""

from __future__ import annotations

from smidgen.html_report.charts.axis import Axis
from smidgen.html_report.markup import Child, Markup, join, tag
from smidgen.html_report.numerals import short


def picture(label: str, width: float, height: float, *children: Child) -> Markup:
    """Makes a drawing that shrinks with the page."""
    return tag(
        "svg",
        tag("title", label),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
    )


def horizontal_grid(axis: Axis, left: float, right: float) -> Markup:
    """Draws a line for each tick of a vertical axis, with its value."""
    return join(
        join(
            tag("line", x1=left, x2=right, y1=axis.place(tick), y2=axis.place(tick), class_="grid"),
            tag("text", short(tick), x=left - 6, y=axis.place(tick) + 4, class_="tick end"),
        )
        for tick in axis.ticks()
    )


def figure(caption: str, *children: Child) -> Markup:
    """Puts a caption above a drawing."""
    return tag("figure", tag("figcaption", caption), *children)


def legend(entries: list[tuple[str, str]]) -> Markup:
    """Names the colours: class and text of each."""
    return tag(
        "p",
        [tag("span", tag("i", class_=f"swatch {colour}"), text) for colour, text in entries],
        class_="legend",
    )
