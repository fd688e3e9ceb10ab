"""Lines over steps."""

from __future__ import annotations

import re

from smidgen.html_report.charts.lines import MOST_POINTS, Line, Mark, line_chart


def _points(chart: str) -> list[tuple[float, float]]:
    found = re.search(r'points="([^"]*)"', chart)
    assert found is not None
    pairs = [pair.split(",") for pair in found[1].split()]
    return [(float(x), float(y)) for x, y in pairs]


def test_a_line_runs_from_left_to_right_and_downwards_with_the_loss() -> None:
    line = Line("loss", "c1", ((0.0, 4.0), (50.0, 2.0), (100.0, 0.0)))
    points = _points(line_chart("Losses", "step", [line], [], is_loss=True))
    assert points == [(56.0, 14.0), (341.0, 120.0), (626.0, 226.0)]


def test_shares_end_at_a_hundred_percent() -> None:
    line = Line("accuracy", "c3", ((0.0, 100.0), (10.0, 100.0)))
    chart = line_chart("Held-out split", "step", [line], [], is_loss=False)
    assert ">100</text>" in chart
    assert ">101</text>" not in chart
    assert [y for _, y in _points(chart)] == [14.0, 14.0]


def test_a_long_line_is_thinned_to_means() -> None:
    line = Line("loss", "c1", tuple((float(i), 1.0 + i % 2) for i in range(4 * MOST_POINTS)))
    points = _points(line_chart("Losses", "step", [line], [], is_loss=True))
    assert len(points) == MOST_POINTS
    assert len({y for _, y in points}) == 1  # the mean of as many ones as twos


def test_marks_are_named() -> None:
    line = Line("loss", "c1", ((0.0, 1.0), (10.0, 2.0)))
    chart = line_chart("Losses", "step", [line], [Mark(5.0, "fine <tune>")], is_loss=True)
    assert 'class="mark"' in chart
    assert "fine &lt;tune&gt;" in chart
