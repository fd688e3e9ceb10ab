"""Reads models that torch.export.save wrote (.pt2)."""

from smidgen.formats.limits import DEFAULT_LIMITS, Limits
from smidgen.formats.pt2.reader import read_pt2
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.graph.exported import ExportedModel, ExportedNode

__all__ = ["DEFAULT_LIMITS", "ExportedModel", "ExportedNode", "Limits", "Pt2Reason", "read_pt2"]
