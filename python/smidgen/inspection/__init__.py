"""What is in a model file: operators, shapes, parameters, work, and what convert would quantize.

Reads files alone and runs nothing. What would be quantized needs torch (extra `optimize`).
"""

from __future__ import annotations

from smidgen.inspection.facts import FileFacts, LayerFacts, Placement
from smidgen.inspection.files import inspect_file

__all__ = ["FileFacts", "LayerFacts", "Placement", "inspect_file"]
