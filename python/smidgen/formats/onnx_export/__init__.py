"""Integer programs as ONNX models of float operators between QuantizeLinear and DequantizeLinear.

Needs the package onnx (extra `onnx`), and neither torch nor the engine.
"""

from __future__ import annotations

from smidgen.formats.onnx_export.exporter import OPSET, export_onnx

__all__ = ["OPSET", "export_onnx"]
