"""A report as one page that asks the network for nothing."""

from __future__ import annotations

from importlib import resources

from smidgen.html_report.document import ReportDocument
from smidgen.html_report.markup import Markup, document, style_sheet, tag
from smidgen.html_report.sections.attention import attention
from smidgen.html_report.sections.latency import latency
from smidgen.html_report.sections.layers import layers
from smidgen.html_report.sections.limits import limits
from smidgen.html_report.sections.noise import noise
from smidgen.html_report.sections.ranges import ranges
from smidgen.html_report.sections.sensitivity import sensitivity
from smidgen.html_report.sections.sizes import sizes
from smidgen.html_report.sections.skipped import skipped
from smidgen.html_report.sections.training import training
from smidgen.html_report.sections.verdict import verdict
from smidgen.report import QuantizationReport


def render(report: ReportDocument) -> str:
    """Returns the page as HTML. Whatever names the report has, they are only text in it."""
    css = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    conversion = report.report
    subtitle = (
        "How a training went" if conversion is None else "What quantization did to this model"
    )
    return document(
        f"{report.title} · Smidgen",
        style_sheet(css),
        tag("header", tag("h1", report.title), tag("p", subtitle)),
        None if conversion is None else verdict(conversion, is_trained=report.is_trained),
        attention(report),
        None if conversion is None else _figures(conversion),
        ranges(report),
        training(report.curve),
        layers(report),
        _facts(report),
    )


def _figures(report: QuantizationReport) -> list[str | Markup | None]:
    return [
        limits(report),
        noise(report.nodes),
        sensitivity(report),
        latency(report),
        sizes(report.nodes),
        skipped(report.nodes),
    ]


def _facts(report: ReportDocument) -> Markup | None:
    if not report.facts:
        return None
    rows = [tag("tr", tag("th", name), tag("td", value)) for name, value in report.facts]
    return tag("section", tag("h2", "Where it comes from"), tag("table", tag("tbody", rows)))
