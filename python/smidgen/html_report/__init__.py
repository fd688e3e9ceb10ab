"""The report of a conversion as an HTML page. Needs no torch."""

from smidgen.html_report.document import ActivationView, CurvePoint, ReportDocument
from smidgen.html_report.page import render

__all__ = ["ActivationView", "CurvePoint", "ReportDocument", "render"]
