"""Small ONNX models by hand, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from smidgen.formats.onnx_import import read_onnx
from smidgen.graph.build import build_graph
from smidgen.graph.exported import ExportedModel

Array = NDArray[Any]


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    """Makes a node."""
    return helper.make_node(operator, list(inputs), list(outputs), **attributes)


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array] | None = None,
    *,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    is_dynamic: bool = True,
    output_type: int = TensorProto.FLOAT,
) -> ModelProto:
    """Makes a model whose inputs have the arrays' types and shapes, the batch being dynamic."""
    stated = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(array.dtype),
            ["batch" if is_dynamic else array.shape[0], *array.shape[1:]],
        )
        for name, array in inputs.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "test",
        stated,
        [helper.make_tensor_value_info(name, output_type, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=min(8 + (opset > 19), 10)
    )


def read_model(made: ModelProto, folder: Path) -> ExportedModel:
    """Writes a model and reads it."""
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return read_onnx(path)


def run_graph(exported: ExportedModel, inputs: Sequence[Array]) -> list[Array]:
    """Returns what our graph gives."""
    with torch.no_grad():
        found = build_graph(exported)(*map(torch.from_numpy, inputs))
    items = found if isinstance(found, tuple | list) else (found,)
    return [item.numpy() for item in items]


def run_onnxruntime(made: ModelProto, inputs: Mapping[str, Array]) -> list[Array]:
    """Returns what ONNX Runtime gives, which is the judge."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, dict(inputs)))


def rng_array(shape: Sequence[int], seed: int = 0) -> NDArray[np.float32]:
    """Returns normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
