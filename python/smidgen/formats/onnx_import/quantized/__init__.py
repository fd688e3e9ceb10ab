"""Quantized ONNX models as programs, with the quantization that they state themselves.

Needs the package onnx (extra `onnx`), and neither torch nor the engine.
"""

from __future__ import annotations

from smidgen.formats.onnx_import.quantized.reader import read_quantized_onnx

__all__ = ["read_quantized_onnx"]
