"""Integer programs and float models as ONNX models.

Those of programs have float operators between QuantizeLinear and DequantizeLinear.

Needs the package onnx (extra `onnx`), and neither torch nor the engine.
"""

from __future__ import annotations

from smidgen.formats.onnx_export.exporter import export_float_onnx, export_onnx
from smidgen.formats.onnx_export.lineage import OPSET, read_metadata
from smidgen.formats.onnx_export.qdq_graph import Sums

__all__ = ["OPSET", "Sums", "export_float_onnx", "export_onnx", "read_metadata"]
