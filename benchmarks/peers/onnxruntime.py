"""ONNX Runtime on the program's ONNX model, all optimizations on."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from benchmarks.peers.contestant import NotIntegerError
from benchmarks.subject import Subject

FLOAT_OPERATORS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
SILENT = 3  # the severity from which messages are shown


class OnnxRuntimeContestant:
    """A session with bound input and output."""

    def __init__(self, subject: Subject, variant: str, threads: int) -> None:
        spinning = variant.rpartition(" ")[2] != "no-spinning"
        self.version = onnxruntime.__version__
        with tempfile.TemporaryDirectory() as folder:
            optimized = Path(folder) / "optimized.onnx"
            options = _options(threads, spinning, subject.batch)
            options.optimized_model_filepath = str(optimized)
            self._session = onnxruntime.InferenceSession(
                subject.qdq_onnx, options, providers=["CPUExecutionProvider"]
            )
            graph = onnx.load(optimized).graph
        self.kernels = Counter(node.op_type for node in graph.node)
        _expect_integer_kernels(self.kernels)
        self._binding = self._session.io_binding()
        for name, values in subject.inputs().items():
            self._binding.bind_cpu_input(name, values)
        self._binding.bind_output(self._session.get_outputs()[0].name)

    def peak(self) -> float | None:
        """Returns nothing; the engine measures."""
        return None

    def run(self) -> None:
        """Runs once."""
        self._session.run_with_iobinding(self._binding)

    def output(self) -> NDArray[np.generic]:
        """Returns the first output of the last run."""
        values: NDArray[np.generic] = self._binding.copy_outputs_to_cpu()[0]
        return values


def _options(threads: int, spinning: bool, batch: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.add_free_dimension_override_by_name("batch", batch)
    return options


def _expect_integer_kernels(kernels: Counter[str]) -> None:
    """Makes sure that no convolution or matrix product was left in float32."""
    left = sorted(FLOAT_OPERATORS & kernels.keys())
    if left:
        raise NotIntegerError(f"ONNX Runtime left these in float32: {', '.join(left)}")


load = OnnxRuntimeContestant
