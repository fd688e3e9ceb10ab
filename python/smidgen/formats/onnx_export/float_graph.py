"""Float models as ONNX models of float operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ValueInfoProto, helper

from smidgen.formats.onnx_export.onnx_graph import OnnxGraph
from smidgen.graph.exported import ExportedModel, ExportedNode
from smidgen.graph.operations import Shape
from smidgen.tensor_spec import TensorSpec

BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the model in the ONNX graph.

    Attributes:
        name: Its name there.
        shape: Its shape.
        dtype: Its element type.
    """

    name: str
    shape: Shape
    dtype: str


class FloatGraph(OnnxGraph):
    """The ONNX graph of a float model.

    Inputs and outputs go by the model's names, all other values by their number.

    Args:
        model: The model.
    """

    def __init__(self, model: ExportedModel) -> None:
        super().__init__(())
        self._model = model
        self._values: dict[int, Value] = {}
        self._weights: dict[str, str] = {}
        self._inputs = [self._new_name(spec.name) for spec in model.inputs]
        self._outputs = [self._new_name(spec.name) for spec in model.outputs]
        for number, (name, spec) in enumerate(zip(self._inputs, model.inputs, strict=True)):
            self._values[number] = Value(name, spec.shape, spec.dtype)
        self._names_of_outputs: dict[int, str] = {}
        for number, name in zip(model.output_values, self._outputs, strict=True):
            self._names_of_outputs.setdefault(number, name)

    def read(self, node: ExportedNode) -> tuple[Value, ...]:
        """Returns what a node reads."""
        return tuple(self._values[number] for number in node.inputs)

    def declare(self, node: ExportedNode) -> Value:
        """Gives the value of a node its name."""
        name = self._names_of_outputs.get(node.output) or self._new_name(f"v{node.output}")
        value = Value(name, node.shape, node.dtype)
        self._values[node.output] = value
        return value

    def array(self, weight: str) -> NDArray[np.generic]:
        """Returns the values of a weight."""
        return self._model.weights[weight]

    def weight(self, weight: str) -> str:
        """Returns the name of a weight, which it adds where it is new."""
        if weight not in self._weights:
            self._weights[weight] = self.constant(weight, self.array(weight))
        return self._weights[weight]

    def finish(self, name: str) -> GraphProto:
        """Returns the graph with the model's inputs and outputs."""
        for number, output in zip(self._model.output_values, self._outputs, strict=True):
            value = self._values[number]
            if value.name != output:  # an input, or the same value a second time
                self.node("Identity", [value.name], output)
        return self._make(
            name,
            _infos(self._inputs, self._model.inputs),
            _infos(self._outputs, self._model.outputs),
        )


def _infos(names: list[str], specs: tuple[TensorSpec, ...]) -> list[ValueInfoProto]:
    return [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype)),
            [BATCH if extent is None else extent for extent in spec.shape],
        )
        for name, spec in zip(names, specs, strict=True)
    ]


def extents(shape: Shape) -> NDArray[np.int64]:
    """Returns a shape as Reshape takes it: what is not known follows from the rest."""
    return np.array([-1 if extent is None else extent for extent in shape], np.int64)


def spatial(value: Value) -> tuple[int, ...]:
    """Returns the extents of a value without batch and channels.

    Raises:
        ValueError: They are not known.
    """
    found = tuple(extent for extent in value.shape[2:] if extent is not None)
    if len(found) != len(value.shape) - 2:
        raise ValueError(f"{value.name} has the shape {value.shape}, of which only the first "
                         "extent may be unknown")  # fmt: skip
    return found
