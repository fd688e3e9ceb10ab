"""Quantized ONNX models of small random nets, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from tests.python.formats.onnx_export.onnx_sessions import EXACT_PRODUCTS

Arrays = Mapping[str, NDArray[Any]]
OPSET, IR_VERSION = 17, 8
WARNINGS = 3  # and what is below errors, is not shown


class Net:
    """A float ONNX model that grows node by node; its weights are random.

    Args:
        shape: Shape of the input `x` without the batch.
        seed: Of the weights.
    """

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._shape = shape
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node and returns its output."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        """Adds an initializer and returns its name."""
        name = f"constant_{len(self._initializers)}"
        self._initializers.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, *shape: int) -> str:
        """Adds random weights, of which each output has a size of its own."""
        values = self._rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        sizes = self._rng.uniform(0.3, 3.0, shape[0]).reshape(-1, *(1,) * (len(shape) - 1))
        return self.constant((values * sizes).astype(np.float32))

    def conv(self, x: str, channels: int, outputs: int, kernel: int = 3, **attributes: Any) -> str:
        """Adds a convolution that keeps the size."""
        per_group = channels // attributes.get("group", 1)
        weight = self.weight(outputs, per_group, kernel, kernel)
        bias = self.constant(self._rng.normal(0, 0.3, outputs).astype(np.float32))
        pads = [kernel // 2] * 4
        return self.node("Conv", x, weight, bias, pads=pads, **attributes)

    def gemm(self, x: str, features: int, outputs: int) -> str:
        """Adds a linear layer."""
        bias = self.constant(self._rng.normal(0, 0.3, outputs).astype(np.float32))
        return self.node("Gemm", x, self.weight(outputs, features), bias, transB=1)

    def model(self, output: str) -> onnx.ModelProto:
        """Returns the model with this value as its output `y`."""
        self._nodes.append(helper.make_node("Identity", [output], ["y"], name="end"))
        return make_model(self._nodes, self._initializers, self._shape)


def make_model(
    nodes: list[onnx.NodeProto],
    initializers: list[onnx.TensorProto],
    shape: tuple[int, ...],
    *,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Returns a model from `x` [batch, shape] to `y`."""
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", *shape])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [x], [y], initializers)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


class Samples(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Random samples to calibrate on."""

    def __init__(self, shape: tuple[int, ...], count: int = 4) -> None:
        rng = np.random.default_rng(1)
        arrays = [rng.normal(size=(4, *shape)).astype(np.float32) for _ in range(count)]
        self._batches: Iterator[Arrays] = iter([{"x": array} for array in arrays])

    def get_next(self) -> Arrays | None:
        """Returns the next batch; None behind the last."""
        return next(self._batches, None)


def quantized_by_onnxruntime(
    model: onnx.ModelProto,
    shape: tuple[int, ...],
    folder: Path,
    *,
    activations: QuantType = QuantType.QUInt8,
    weights: QuantType = QuantType.QInt8,
    form: QuantFormat = QuantFormat.QDQ,
    **options: Any,
) -> Path:
    """Returns the file of a model that quantize_static has quantized."""
    source, target = folder / "float.onnx", folder / "quantized.onnx"
    onnx.save(model, source)
    quantize_static(
        str(source),
        str(target),
        Samples(shape),
        quant_format=form,
        activation_type=activations,
        weight_type=weights,
        **options,
    )
    return target


def run_onnxruntime(path: Path, x: NDArray[np.float32], *, optimize: bool = True) -> NDArray[Any]:
    """Returns the first output of a file in ONNX Runtime."""
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = WARNINGS
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*EXACT_PRODUCTS)
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])
