"""Where the bytes went."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.html_report.charts.columns import Column, column_chart
from smidgen.html_report.charts.frame import legend
from smidgen.html_report.labels import label
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import size
from smidgen.report import NodeReport

_KIB = 1024


def sizes(nodes: Sequence[NodeReport]) -> Markup | None:
    """Draws the bytes of each layer's parameters before and after."""
    weighty = [node for node in nodes if node.float_bytes and node.quantized_bytes]
    if not weighty:
        return None
    columns = [
        Column(
            f"{label(node)}: {size(node.float_bytes)}, then {size(node.quantized_bytes)}",
            (("c2", node.float_bytes / _KIB), ("c1", node.quantized_bytes / _KIB)),
        )
        for node in weighty
    ]
    return tag(
        "section",
        tag("h2", "Size by layer"),
        legend([("c2", "float"), ("c1", "quantized")]),
        column_chart("KiB of parameters of each layer, before and after", columns),
    )
