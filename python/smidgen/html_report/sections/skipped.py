"""What was not quantized, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from smidgen.html_report.labels import label
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.sections.layers import REASONS
from smidgen.report import NodeReport

_MOST_NAMED = 20


def skipped(nodes: Sequence[NodeReport]) -> Markup | None:
    """Makes a table with a row for each reason; those that run on floats come first."""
    reasons = Counter(node.reason for node in nodes if not node.is_quantized)
    if not reasons:
        return None
    order = sorted(reasons, key=lambda reason: (reason != "FLOAT", -reasons[reason]))
    head = (("Reason", None), ("Nodes", "number"), ("Operators", None), ("Which", None))
    titles = tag("tr", [tag("th", text, class_=align) for text, align in head])
    return tag(
        "section",
        tag("h2", "Not quantized, and why"),
        tag(
            "div",
            tag(
                "table",
                tag("thead", titles),
                tag("tbody", [_row(reason, nodes) for reason in order]),
                class_="reasons",
            ),
            class_="scroll",
        ),
    )


def _row(reason: str, nodes: Sequence[NodeReport]) -> Markup:
    found = [node for node in nodes if not node.is_quantized and node.reason == reason]
    operators = Counter(node.op for node in found)
    named = ", ".join(label(node) for node in found[:_MOST_NAMED])
    more = len(found) - _MOST_NAMED
    cells = (
        (f"{reason}: {REASONS.get(reason, 'see the documentation')}", None),
        (str(len(found)), "number"),
        (", ".join(f"{count} {op}" for op, count in operators.most_common()), None),
        (f"{named} and {more} more" if more > 0 else named, None),
    )
    kind = "float" if reason == "FLOAT" else None
    return tag("tr", [tag("td", text, class_=align) for text, align in cells], class_=kind)
