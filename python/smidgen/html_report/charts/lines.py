"""Lines over optimizer steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from smidgen.html_report.charts.axis import Axis, linear_axis, loss_axis
from smidgen.html_report.charts.frame import figure, horizontal_grid, legend, picture
from smidgen.html_report.markup import Markup, join, tag
from smidgen.html_report.numerals import short

_WIDTH, _HEIGHT = 640.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 626.0, 14.0, 226.0
_PERCENT = (0.0, 100.0)
MOST_POINTS = 600
"""More points than a screen has columns for are thinned out."""


@dataclass(frozen=True, slots=True)
class Line:
    """A named line of (x, y), at least one."""

    name: str
    colour: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line where something changes."""

    at: float
    text: str


def line_chart(
    caption: str, unit: str, lines: list[Line], marks: list[Mark], *, is_loss: bool
) -> Markup:
    """Draws lines over a common horizontal axis of steps: losses, else shares in percent."""
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    across = linear_axis(xs, _LEFT, _RIGHT, from_zero=True)
    up = (
        loss_axis(ys, _BOTTOM, _TOP)
        if is_loss
        else linear_axis(ys, _BOTTOM, _TOP, from_zero=False, within=_PERCENT)
    )
    drawing = picture(
        caption,
        _WIDTH,
        _HEIGHT,
        horizontal_grid(up, _LEFT, _RIGHT),
        [_mark(mark, across) for mark in marks],
        [_line(line, across, up) for line in lines],
        [
            tag("text", short(tick), x=across.place(tick), y=_BOTTOM + 16, class_="tick middle")
            for tick in across.ticks()
        ],
        tag("text", unit, x=_RIGHT, y=_HEIGHT - 4, class_="tick end"),
    )
    return figure(caption, legend([(line.colour, line.name) for line in lines]), drawing)


def _line(line: Line, across: Axis, up: Axis) -> Markup:
    points = _thinned(line.points)
    path = " ".join(f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in points)
    ends = tag(
        "circle",
        cx=across.place(points[-1][0]),
        cy=up.place(points[-1][1]),
        r=3,
        class_=f"fill {line.colour}",
    )
    return join(tag("polyline", points=path, class_=f"line {line.colour}"), ends)


def _mark(mark: Mark, across: Axis) -> Markup:
    x = across.place(mark.at)
    is_late = x > (_LEFT + _RIGHT) / 2
    return join(
        tag("line", x1=x, x2=x, y1=_TOP, y2=_BOTTOM, class_="mark"),
        tag(
            "text",
            mark.text,
            x=x - 4 if is_late else x + 4,
            y=_TOP + 8,
            class_="tick end" if is_late else "tick",
        ),
    )


def _thinned(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Means of neighbours, so that no line is longer than it can be seen."""
    if len(points) <= MOST_POINTS:
        return list(points)
    edges = [len(points) * i // MOST_POINTS for i in range(MOST_POINTS + 1)]
    groups = [points[begin:end] for begin, end in pairwise(edges)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]
