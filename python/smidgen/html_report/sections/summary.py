"""The figures that decide, first on the page."""

from __future__ import annotations

from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import percent, size
from smidgen.report import ParityCertificate, QuantizationReport


def summary(report: QuantizationReport) -> Markup:
    """Shows size, accuracy, parity and how much was quantized."""
    return tag("section", _tiles(report), class_="tiles")


def _tiles(report: QuantizationReport) -> list[Markup]:
    tiles = [_size_tile(report), _quantized_tile(report)]
    if report.float_accuracy is not None and report.quantized_accuracy is not None:
        tiles.insert(0, _accuracy_tile(report.float_accuracy, report.quantized_accuracy))
    if report.parity is not None:
        tiles.append(_parity_tile(report.parity))
    return tiles


def _tile(name: str, figure: str, note: str, state: str = "") -> Markup:
    return tag(
        "div",
        tag("h2", name),
        tag("p", figure, class_="figure"),
        tag("p", note),
        class_=f"tile {state}".rstrip(),
    )


def _accuracy_tile(before: float, after: float) -> Markup:
    points = 100 * (after - before)
    change = "no change" if abs(points) < 0.005 else f"{points:+.2f} points"
    note = f"{change} from {percent(before, 2)} in float"
    return _tile("Accuracy", percent(after, 2), note, "bad" if points <= -1 else "good")


def _size_tile(report: QuantizationReport) -> Markup:
    if not report.artifact_bytes:
        return _tile("Size", size(report.float_bytes), "of the float model; nothing is written yet")
    if not report.float_bytes:
        return _tile("Size", size(report.artifact_bytes), "the float model has no parameters")
    ratio = report.float_bytes / report.artifact_bytes
    note = f"{size(report.artifact_bytes)} instead of {size(report.float_bytes)}"
    return _tile("Smaller", f"{ratio:.2f}x", note, "good" if ratio >= 1 else "bad")


def _quantized_tile(report: QuantizationReport) -> Markup:
    steps = [node for node in report.nodes if node.is_quantized or node.reason == "FLOAT"]
    quantized = sum(node.is_quantized for node in steps)
    floats = len(steps) - quantized
    note = f"{floats} run on floats" if floats else "nothing runs on floats"
    return _tile("In integers", f"{quantized} of {len(steps)}", f"operations; {note}")


def _parity_tile(parity: ParityCertificate) -> Markup:
    is_equal = parity.max_difference == 0
    figure = "0 bytes differ" if is_equal else f"differs by {parity.max_difference}"
    note = (
        f"engine and reference, {parity.sample_count} samples, at {', '.join(parity.isas) or 'no'}"
    )
    return _tile("Parity", figure, note, "good" if is_equal else "bad")
