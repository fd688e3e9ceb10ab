"""What a rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smidgen.formats.onnx_export.float_graph import FloatGraph, Value

FloatRule = Callable[["Write"], None]  # adds the nodes of an operation


@dataclass(frozen=True, slots=True)
class Write:
    """One operation that is to be written.

    Attributes:
        graph: Where to.
        operation: What; one of smidgen.graph.operations.
        inputs: What it reads.
        output: What it is to define.
    """

    graph: FloatGraph
    operation: Any
    inputs: tuple[Value, ...]
    output: Value

    @property
    def names(self) -> list[str]:
        """The names of what it reads."""
        return [value.name for value in self.inputs]

    def node(self, operator: str, inputs: list[str], /, **attributes: Any) -> None:
        """Adds the node that defines the output."""
        self.graph.node(operator, inputs, self.output.name, **attributes)
