"""An ONNX graph that grows node by node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper


class OnnxGraph:
    """Nodes and constants, each value under a name of its own.

    Args:
        names: Names that are given already.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._nodes: list[NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._names = set(names)
        self._numbers: dict[float, str] = {}

    def node(
        self, operator: str, inputs: Sequence[str], output: str | None = None, /, **attributes: Any
    ) -> str:
        """Adds a node; returns the name of its output, a new one unless it is given."""
        written = output if output is not None else self._new_name(f"{inputs[0]}/{operator}")
        self._nodes.append(
            helper.make_node(
                operator, list(inputs), [written], name=f"{written}/{operator}", **attributes
            )
        )
        return written

    def constant(self, hint: str, values: NDArray[Any] | np.generic) -> str:
        """Adds a constant under a new name like the hint."""
        name = self._new_name(hint)
        self._initializers[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def number(self, value: float) -> str:
        """Returns the name of a float32 constant, which it adds where it is new."""
        if value not in self._numbers:
            self._numbers[value] = self.constant(repr(value), np.float32(value))
        return self._numbers[value]

    def define(self, name: str, values: NDArray[Any]) -> None:
        """Makes a name that was given already a constant."""
        self._initializers[name] = numpy_helper.from_array(values, name)

    def name(self, value: str, wanted: str) -> None:
        """Gives the last node's output a name that was given already."""
        node = self._nodes[-1]
        assert list(node.output) == [value], "only what was written last can have another name"
        node.output[0] = wanted

    def _make(
        self, name: str, inputs: Sequence[ValueInfoProto], outputs: Sequence[ValueInfoProto]
    ) -> GraphProto:
        constants = list(self._initializers.values())
        return helper.make_graph(self._nodes, name, inputs, outputs, constants)

    def _new_name(self, hint: str) -> str:
        name, count = hint, 1
        while name in self._names:
            count += 1
            name = f"{hint}_{count}"
        self._names.add(name)
        return name
