"""Every node with all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import short, size
from smidgen.report import NodeReport

REASONS = {
    "FUSED": "part of the operation before it",
    "FOLDED": "folded into the layer before it",
    "REMOVED": "does nothing when the model runs",
    "UNUSED": "its result is not used",
    "FLOAT": "runs on floats",
}
"""What the stable words of a report mean."""

_HEAD = (
    ("Node", None),
    ("Module", None),
    ("Operator", None),
    ("Quantized", None),
    ("Bits", "number"),
    ("Scale", "number"),
    ("Float", "number"),
    ("Integer", "number"),
    ("SQNR", "number"),
)


def layers(nodes: Sequence[NodeReport]) -> Markup:
    """Makes a table with a row for each node of the float model."""
    return tag(
        "section",
        tag("h2", "All layers"),
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", [tag("th", name, class_=align) for name, align in _HEAD])),
                tag("tbody", [_row(node) for node in nodes]),
            ),
            class_="scroll",
        ),
    )


def _row(node: NodeReport) -> Markup:
    outcome = "yes" if node.is_quantized else REASONS.get(node.reason, node.reason)
    cells = (
        (node.node, None),
        (node.module_path, None),
        (node.op, None),
        (outcome, None),
        (str(node.weight_bits) if node.weight_bits else "", "number"),
        (short(node.output_scale) if node.output_scale else "", "number"),
        (size(node.float_bytes) if node.float_bytes else "", "number"),
        (size(node.quantized_bytes) if node.quantized_bytes else "", "number"),
        ("" if node.sqnr_db is None else f"{node.sqnr_db:.1f} dB", "number"),
    )
    kind = None if node.is_quantized else ("float" if node.reason == "FLOAT" else "gone")
    return tag("tr", [tag("td", text, class_=align) for text, align in cells], class_=kind)
