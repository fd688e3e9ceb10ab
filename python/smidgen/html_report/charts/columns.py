"""One column for each layer, in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.html_report.charts.axis import linear_axis
from smidgen.html_report.charts.frame import figure, horizontal_grid, picture
from smidgen.html_report.markup import Markup, join, tag

_WIDTH, _HEIGHT = 960.0, 220.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 952.0, 12.0, 204.0
_MOST_WIDTH = 28.0


@dataclass(frozen=True, slots=True)
class Column:
    """One or several values of a layer side by side.

    Attributes:
        name: Shown when the pointer rests on it.
        values: Each a colour and a height, all finite.
    """

    name: str
    values: tuple[tuple[str, float], ...]


def column_chart(caption: str, columns: list[Column]) -> Markup:
    """Draws columns from 0; at least one."""
    heights = [height for column in columns for _, height in column.values]
    up = linear_axis(heights, _BOTTOM, _TOP, from_zero=True)
    room = min((_RIGHT - _LEFT) / len(columns), _MOST_WIDTH * len(columns[0].values))

    def bar(index: int, part: int, colour: str, height: float) -> Markup:
        share = room * 0.8 / len(columns[index].values)
        top, zero = up.place(max(height, 0.0)), up.place(min(height, 0.0))
        return tag(
            "rect",
            x=_LEFT + index * room + part * share,
            y=top,
            width=share,
            height=max(zero - top, 0.5),
            class_=f"fill {colour}",
        )

    drawn = [
        tag(
            "g",
            tag("title", column.name),
            [bar(index, part, *value) for part, value in enumerate(column.values)],
        )
        for index, column in enumerate(columns)
    ]
    return figure(
        caption,
        picture(caption, _WIDTH, _HEIGHT, horizontal_grid(up, _LEFT, _RIGHT), join(drawn)),
    )
