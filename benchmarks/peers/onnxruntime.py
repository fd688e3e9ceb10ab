"""ONNX Runtime with all optimizations on.

Variants: `qdq`, the program's ONNX model; `static` and `dynamic`, its own quantization of the float
model; `float`, the float model. `no-spinning` behind one: its threads sleep while they wait.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers import optimizer

from benchmarks.peers.contestant import NotIntegerError
from benchmarks.subject import Subject

PRODUCTS = {
    "Attention",
    "Conv",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "Gemm",
    "MatMul",
}
SILENT = 3  # the severity from which messages are shown


class OnnxRuntimeContestant:
    """A session with bound inputs and output."""

    def __init__(self, subject: Subject, variant: str, threads: int) -> None:
        model, _, waiting = variant.partition(" ")
        self.version = onnxruntime.__version__
        with tempfile.TemporaryDirectory() as folder:
            optimized = Path(folder) / "optimized.onnx"
            options = _options(threads, waiting != "no-spinning", subject.batch)
            options.optimized_model_filepath = str(optimized)
            self._session = onnxruntime.InferenceSession(
                _MODELS[model](subject), options, providers=["CPUExecutionProvider"]
            )
            graph = onnx.load(optimized).graph
        self.kernels = Counter(node.op_type for node in graph.node)
        if model != "float":
            expect_integer_products(graph)
        self._binding = self._session.io_binding()
        for name, values in subject.inputs().items():
            self._binding.bind_cpu_input(name, values)
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

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


def expect_integer_products(graph: onnx.GraphProto) -> None:
    """Makes sure that no layer was left in float32; products of two activations may be."""
    floats = {
        value.name for value in graph.initializer if value.data_type == onnx.TensorProto.FLOAT
    }
    constants = {value.name for value in graph.initializer}
    floats |= {
        node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    left = [
        f"{node.op_type} {node.name}"
        for node in graph.node
        if node.op_type in PRODUCTS and node.input[1] in floats
    ]
    if left:
        raise NotIntegerError(f"ONNX Runtime left these in float32: {', '.join(left)}")


class _Calibration(quantization.CalibrationDataReader):  # type: ignore[misc]  # has no types
    """The subject's samples, one by one."""

    def __init__(self, subject: Subject) -> None:
        samples = subject.calibration()
        count = len(next(iter(samples.values())))
        self._samples: Iterator[dict[str, NDArray[Any]]] = iter(
            {name: values[i : i + 1] for name, values in samples.items()} for i in range(count)
        )

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Returns the next sample, or None after the last."""
        return next(self._samples, None)


def _float(subject: Subject) -> Path:
    """Returns the float model, its attention and norms fused if it has some."""
    path = subject.folder / "onnxruntime-float.onnx"
    if not path.exists():
        if _is_transformer(subject):
            optimizer.optimize_model(str(subject.float_onnx), "bert").save_model_to_file(path)
        else:
            quant_pre_process(subject.float_onnx, path)
    return path


def _static(subject: Subject) -> Path:
    path = subject.folder / "onnxruntime-static.onnx"
    if not path.exists():
        prepared = subject.folder / "onnxruntime-prepared.onnx"
        quant_pre_process(subject.float_onnx, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            _Calibration(subject),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            reduce_range=False,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    return path


def _dynamic(subject: Subject) -> Path:
    path = subject.folder / "onnxruntime-dynamic.onnx"
    if not path.exists():
        quantization.quantize_dynamic(
            _float(subject),
            path,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            # Of what fused operators write, whose types are not inferred.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
    return path


def _is_transformer(subject: Subject) -> bool:
    return len(subject.inputs()) > 1


_MODELS: Mapping[str, Callable[[Subject], Path]] = {
    "qdq": lambda subject: subject.qdq_onnx,
    "static": _static,
    "dynamic": _dynamic,
    "float": _float,
}


def prepare(subject: Subject, variant: str, threads: int) -> None:
    """Makes the model of a variant, if it is not there."""
    _MODELS[variant.partition(" ")[0]](subject)


load = OnnxRuntimeContestant
