"""Where the time goes, in float and in integers."""

from __future__ import annotations

from smidgen.html_report.charts.bars import Bar, bar_list
from smidgen.html_report.charts.columns import Column, column_chart
from smidgen.html_report.charts.frame import legend
from smidgen.html_report.labels import labels_of
from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import duration
from smidgen.measured import LatencyReport, LayerLatency
from smidgen.plural import counted
from smidgen.report import QuantizationReport

_MOST_SHOWN = 10


def latency(report: QuantizationReport) -> Markup | None:
    """Draws the whole call, every layer, and lists the slowest steps."""
    found = report.latency
    if found is None:
        return None
    name_of = labels_of(report.nodes)
    longest = max(found.float_us, found.quantized_us)
    whole = [
        Bar("float (PyTorch)", duration(found.float_us), found.float_us / longest, "c2"),
        Bar("integer", duration(found.quantized_us), found.quantized_us / longest, "c1"),
    ]
    columns = [
        Column(
            f"{name_of(layer.node)}: {duration(layer.float_us)}, then "
            f"{duration(layer.quantized_us)}",
            (("c2", layer.float_us), ("c1", layer.quantized_us)),
        )
        for layer in found.layers
    ]
    slowest = sorted(found.layers, key=lambda layer: -layer.quantized_us)[:_MOST_SHOWN]
    return tag(
        "section",
        tag("h2", "Time of a call"),
        tag("p", _explanation(found)),
        bar_list(whole),
        legend([("c2", "float"), ("c1", "integer")]),
        column_chart("Microseconds of each layer, in the order in which they run", columns)
        if columns
        else None,
        tag("h3", "The slowest integer steps"),
        tag("div", _table(slowest, found, report), class_="scroll"),
    )


def _explanation(found: LatencyReport) -> str:
    cpu = f" ({found.cpu})" if found.cpu else ""
    return (
        f"The least of {counted(found.rounds, 'run')} with {counted(found.threads, 'thread')} and "
        f"batch {found.batch} on the machine that converted the model{cpu}, at {found.isa}. "
        "Layers that one step of the engine does are counted together; converting floats to "
        "integers and back takes "
        f"{duration(found.conversions_us)}."
    )


def _table(layers: list[LayerLatency], found: LatencyReport, report: QuantizationReport) -> Markup:
    head = [("Layer", None), ("With", None), ("Float", "number"), ("Integer", "number")]
    head += [("Faster", "number"), ("Share of the call", "number")]
    name_of = labels_of(report.nodes)
    rows = []
    for layer in layers:
        ratio = layer.float_us / layer.quantized_us if layer.quantized_us else None
        cells = (
            (name_of(layer.node), None),
            (", ".join(map(name_of, layer.covers)), None),
            (duration(layer.float_us), "number"),
            (duration(layer.quantized_us), "number"),
            ("" if ratio is None else f"{ratio:.2f}x", "number"),
            (f"{100 * layer.quantized_us / found.quantized_us:.0f} %", "number"),
        )
        is_slower = ratio is not None and ratio < 1
        cell = [tag("td", text, class_=align) for text, align in cells]
        rows.append(tag("tr", cell, class_="float" if is_slower else None))
    titles = tag("tr", [tag("th", text, class_=align) for text, align in head])
    return tag("table", tag("thead", titles), tag("tbody", rows))
