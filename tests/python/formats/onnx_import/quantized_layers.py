"""One layer between QuantizeLinear and DequantizeLinear, of which each part can be another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from tests.python.formats.onnx_import.quantized_files import make_model

INPUTS, OUTPUTS = 6, 5
X_SCALE, W_SCALE, Y_SCALE = np.float32(0.03125), np.float32(0.0078125), np.float32(0.0625)


def default_weight() -> NDArray[np.int8]:
    """Returns int8 weights [OUTPUTS, INPUTS]."""
    return np.random.default_rng(3).integers(-127, 128, (OUTPUTS, INPUTS)).astype(np.int8)


def default_bias() -> NDArray[np.int32]:
    """Returns an int32 bias [OUTPUTS]."""
    return np.random.default_rng(4).integers(-900, 900, OUTPUTS).astype(np.int32)


@dataclass(frozen=True)
class Parts:
    """What a layer is made of; every field is what the file holds.

    Attributes:
        constants: The initializers by name.
        nodes: The nodes in order.
        opset: The version of the operators.
    """

    constants: dict[str, NDArray[Any] | TensorProto] = field(default_factory=dict)
    nodes: tuple[NodeProto, ...] = ()
    opset: int = 17

    def with_constants(self, **constants: NDArray[Any] | TensorProto) -> Parts:
        """Returns the layer with these initializers, new or in place of others."""
        return replace(self, constants=self.constants | constants)

    def with_node(self, name: str, operator: str, inputs: str, **attributes: Any) -> Parts:
        """Returns the layer with another node of that name, which makes the value of that name."""
        made = helper.make_node(operator, inputs.split(), [name], name=name, **attributes)
        nodes = tuple(made if node.name == name else node for node in self.nodes)
        return replace(self, nodes=nodes if made in nodes else (*self.nodes, made))

    def save(self, folder: Path) -> Path:
        """Writes the file and returns it."""
        tensors = [
            value if isinstance(value, TensorProto) else numpy_helper.from_array(value, name)
            for name, value in self.constants.items()
        ]
        model = make_model(list(self.nodes), tensors, (INPUTS,), opset=self.opset)
        path = folder / "layer.onnx"
        onnx.save(model, path)
        return path


def layer() -> Parts:
    """Returns a linear layer of uint8 values, int8 weights for each output and an int32 bias."""
    scales = W_SCALE * (1 + np.arange(OUTPUTS, dtype=np.float32))
    parts = Parts(
        {
            "x_scale": X_SCALE, "x_zero": np.uint8(120),
            "w_int": default_weight(), "w_scale": scales, "w_zero": np.zeros(OUTPUTS, np.int8),
            "b_int": default_bias(), "b_scale": X_SCALE * scales,
            "y_scale": Y_SCALE, "y_zero": np.uint8(100),
        }
    )  # fmt: skip
    return (
        parts.with_node("x_bytes", "QuantizeLinear", "x x_scale x_zero")
        .with_node("x_real", "DequantizeLinear", "x_bytes x_scale x_zero")
        .with_node("w", "DequantizeLinear", "w_int w_scale w_zero", axis=0)
        .with_node("b", "DequantizeLinear", "b_int b_scale", axis=0)
        .with_node("sums", "Gemm", "x_real w b", transB=1)
        .with_node("y_bytes", "QuantizeLinear", "sums y_scale y_zero")
        .with_node("y", "DequantizeLinear", "y_bytes y_scale y_zero")
    )
