"""How training went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from smidgen.html_report.charts.lines import Line, Mark, line_chart
from smidgen.html_report.document import CurvePoint
from smidgen.html_report.markup import Markup, tag


def training(curve: Sequence[CurvePoint]) -> Markup | None:
    """Draws the losses, and accuracy and agreement where they were measured."""
    losses = [
        *_line("task loss", "c1", [(p.step, p.task_loss) for p in curve]),
        *_line("quantization loss", "c2", [(p.step, p.quantization_loss) for p in curve]),
        *_line("task loss, held-out split", "c3", [(p.step, p.held_out_loss) for p in curve]),
    ]
    shares = [
        *_line("accuracy", "c3", [(p.step, _percent(p.accuracy)) for p in curve]),
        *_line("same class as float", "c1", [(p.step, _percent(p.agreement)) for p in curve]),
    ]
    marks = _stage_changes(curve)
    charts = []
    if losses:
        charts.append(line_chart("Losses by step", "step", losses, marks, is_loss=True))
    if shares:
        caption = "Held-out split by step, in percent"
        charts.append(line_chart(caption, "step", shares, marks, is_loss=False))
    if not charts:
        return None
    return tag("section", tag("h2", "Training"), tag("div", charts, class_="pair"))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _line(name: str, colour: str, found: Sequence[tuple[int, float | None]]) -> list[Line]:
    points = tuple((float(step), value) for step, value in found if value is not None)
    return [Line(name, colour, points)] if points else []


def _stage_changes(curve: Sequence[CurvePoint]) -> list[Mark]:
    """A stage begins at the last evaluation of the stage before it."""
    known = [point for point in curve if point.stage not in ("", "load")]
    return [
        Mark(float(before.step), after.stage.replace("_", " "))
        for before, after in pairwise(known)
        if before.stage != after.stage
    ]
