"""A report as one page that asks the network for nothing."""

from __future__ import annotations

from importlib import resources

from smidgen.html_report.document import ReportDocument
from smidgen.html_report.markup import Markup, document, style_sheet, tag
from smidgen.html_report.sections.attention import attention
from smidgen.html_report.sections.layers import layers
from smidgen.html_report.sections.noise import noise
from smidgen.html_report.sections.ranges import ranges
from smidgen.html_report.sections.sizes import sizes
from smidgen.html_report.sections.summary import summary
from smidgen.html_report.sections.training import training


def render(report: ReportDocument) -> str:
    """Returns the page as HTML. Whatever names the report has, they are only text in it."""
    css = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    nodes = report.report.nodes
    return document(
        f"{report.title} · Smidgen",
        style_sheet(css),
        tag("header", tag("h1", report.title), tag("p", "What quantization did to this model")),
        summary(report.report),
        attention(report),
        noise(nodes),
        training(report.curve),
        sizes(nodes),
        ranges(report.activations, report.calibration),
        layers(nodes),
        _facts(report),
    )


def _facts(report: ReportDocument) -> Markup | None:
    if not report.facts:
        return None
    rows = [tag("tr", tag("th", name), tag("td", value)) for name, value in report.facts]
    return tag("section", tag("h2", "Where it comes from"), tag("table", tag("tbody", rows)))
