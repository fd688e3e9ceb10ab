"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smidgen.formats.onnx_export.qdq_graph import QdqGraph

Rule = Callable[[QdqGraph, Any], None]  # adds the nodes of a step
