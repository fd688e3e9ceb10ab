"""The limits that the conversion was held to, and the layers that a search gave more bits."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import percent
from smidgen.plural import counted
from smidgen.report import GateReport, PrecisionChange, PrecisionSearch, QuantizationReport

_Cells = Sequence[tuple[str, str | None]]


def limits(report: QuantizationReport) -> Markup | None:
    """Makes a table of limits and one of lifted layers; None where there was no limit."""
    if report.gate is None:
        return None
    return tag(
        "section",
        tag("h2", "Limits"),
        tag("p", f"Measured on {counted(report.gate.sample_count, 'evaluation sample')}."),
        _table((("Limit", None), ("Found", "number"), ("Allowed", "number")), _rows(report.gate)),
        None if report.search is None else _searched(report.search),
    )


def _rows(gate: GateReport) -> list[_Cells]:
    rows: list[_Cells] = []
    if gate.max_drop is not None and gate.drop is not None:
        found, allowed = percent(gate.drop, 2), f"at most {percent(gate.max_drop, 2)}"
        rows.append((("Samples lost", None), (found, "number"), (allowed, "number")))
    if gate.min_sqnr_db is not None:
        found = "no noise" if gate.sqnr_db is None else f"{gate.sqnr_db:.1f} dB"
        allowed = f"at least {gate.min_sqnr_db:g} dB"
        rows.append((("Output noise", None), (found, "number"), (allowed, "number")))
    return rows


def _searched(search: PrecisionSearch) -> list[Markup]:
    end = "" if search.is_complete else ", and its budget ended it"
    programs = counted(len(search.trials), "program")
    sentence = f"A search for layers that need more bits measured {programs}{end}."
    if not search.changes:
        return [tag("p", f"{sentence} No layer got more.")]
    head = (("Layer", None), ("From", None), ("To", None), ("Output noise by it alone", "number"))
    return [tag("p", sentence), _table(head, [_lift(change) for change in search.changes])]


def _lift(change: PrecisionChange) -> _Cells:
    ratio = change.output_sqnr_db
    return (
        (change.module_path or change.node, None),
        (change.before, None),
        (change.after, None),
        ("" if ratio is None else f"{ratio:.1f} dB", "number"),
    )


def _table(head: _Cells, rows: Sequence[_Cells]) -> Markup:
    titles = tag("tr", [tag("th", text, class_=align) for text, align in head])
    body = [tag("tr", [tag("td", text, class_=align) for text, align in row]) for row in rows]
    return tag("div", tag("table", tag("thead", titles), tag("tbody", body)), class_="scroll")
