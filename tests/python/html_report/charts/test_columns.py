"""Columns of layers."""

from __future__ import annotations

import re

from smidgen.html_report.charts.columns import Column, column_chart


def _heights(chart: str) -> list[float]:
    return [float(height) for height in re.findall(r'height="([\d.]+)" class="fill', chart)]


def test_heights_are_as_the_values() -> None:
    columns = [Column(str(value), (("c1", value),)) for value in (10.0, 20.0, 40.0)]
    low, middle, high = _heights(column_chart("dB", columns))
    assert (high / low, high / middle) == (4.0, 2.0)


def test_columns_below_0_hang_from_the_same_line() -> None:
    chart = column_chart("dB", [Column("a", (("c1", 5.0),)), Column("b", (("bad", -5.0),))])
    above, below = _heights(chart)
    assert above == below


def test_a_thousand_layers_fit() -> None:
    chart = column_chart("dB", [Column(str(i), (("c1", 1.0),)) for i in range(1000)])
    ends = [
        float(x) + float(width)
        for x, width in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', chart)
    ]
    assert len(ends) == 1000
    assert max(ends) <= 952.0
