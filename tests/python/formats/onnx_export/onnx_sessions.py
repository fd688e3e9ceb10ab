"""Runs exported programs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from smidgen.formats.onnx_export import export_onnx
from smidgen.program import Program

WARNINGS = 3  # and what is below errors, is not shown
EXACT_PRODUCTS = ("session.x64quantprecision", "1")
"""Without VNNI ONNX Runtime adds pairs of products in 16 bits, which saturate, unless told so."""


def session(
    program: Program, *, optimize: bool = True, optimized: str = ""
) -> onnxruntime.InferenceSession:
    """Returns a session of the exported program; `optimized` is a file for what it became."""
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = WARNINGS
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*EXACT_PRODUCTS)
    options.optimized_model_filepath = optimized
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    model = export_onnx(program).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(
    program: Program, inputs: Mapping[str, NDArray[Any]], *, optimize: bool = True
) -> dict[str, NDArray[Any]]:
    """Returns the outputs that ONNX Runtime computes."""
    values = session(program, optimize=optimize).run(list(program.outputs), dict(inputs))
    return dict(zip(program.outputs, (np.asarray(value) for value in values), strict=True))
