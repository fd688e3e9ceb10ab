"""How training went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from smidgen.html_report.charts.lines import Line, Mark, line_chart
from smidgen.html_report.document import CurvePoint
from smidgen.html_report.markup import Markup, tag


def training(curve: Sequence[CurvePoint]) -> Markup | None:
    """Draws the losses, and the accuracy where it was measured."""
    losses = [
        *_line("task loss", "c1", [(p.step, p.task_loss) for p in curve]),
        *_line("quantization loss", "c2", [(p.step, p.quantization_loss) for p in curve]),
    ]
    shares = [(p.step, None if p.accuracy is None else 100 * p.accuracy) for p in curve]
    accuracy = _line("of the held-out split", "c3", shares)
    marks = _stage_changes(curve)
    charts = []
    if losses:
        charts.append(line_chart("Losses by step", "step", losses, marks, is_loss=True))
    if accuracy:
        charts.append(
            line_chart("Accuracy by step in percent", "step", accuracy, marks, is_loss=False)
        )
    if not charts:
        return None
    return tag("section", tag("h2", "Training"), tag("div", charts, class_="pair"))


def _line(name: str, colour: str, found: Sequence[tuple[int, float | None]]) -> list[Line]:
    points = tuple((float(step), value) for step, value in found if value is not None)
    return [Line(name, colour, points)] if points else []


def _stage_changes(curve: Sequence[CurvePoint]) -> list[Mark]:
    return [
        Mark(float(after.step), after.stage.replace("_", " "))
        for before, after in pairwise(curve)
        if before.stage != after.stage
    ]
