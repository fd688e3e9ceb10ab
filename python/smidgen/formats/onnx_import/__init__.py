"""ONNX models as float graphs or programs: read by our own rules, nothing in them executed.

Needs the package onnx (extra `onnx`), and neither torch nor the engine.
"""

from __future__ import annotations

from smidgen.formats.onnx_import.quantized import read_quantized_onnx
from smidgen.formats.onnx_import.reader import read_onnx
from smidgen.formats.onnx_import.reasons import OnnxReason

__all__ = ["OnnxReason", "read_onnx", "read_quantized_onnx"]
