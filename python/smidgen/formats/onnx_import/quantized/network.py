"""The nodes of a graph by what they make and who reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smidgen.graph import operations as ops
from smidgen.graph.exported import ExportedNode
from smidgen.graph.operations import Shape


class Network:
    """Nodes with their readers.

    Args:
        nodes: Operations in an order in which they can run.
        outputs: Numbers of the values that the graph returns.

    Attributes:
        nodes: The same operations.
    """

    def __init__(self, nodes: Sequence[ExportedNode], outputs: Iterable[int]) -> None:
        self.nodes = tuple(nodes)
        self._makers = {node.output: node for node in nodes}
        self._tables: dict[int, list[ExportedNode]] = {}
        for node in nodes:
            if isinstance(node.operation, ops.Tabulated):
                self._tables.setdefault(node.inputs[0], []).append(node)
        self._reads: dict[int, int] = {}
        for value in (*outputs, *(value for node in nodes for value in node.inputs)):
            self._reads[value] = self._reads.get(value, 0) + 1

    def maker(self, value: int) -> ExportedNode | None:
        """Returns the node that makes a value; None for inputs of the graph."""
        return self._makers.get(value)

    def shape(self, value: int) -> Shape | None:
        """Returns the shape of a value that a node makes."""
        maker = self._makers.get(value)
        return None if maker is None else maker.shape

    def tables_of(self, value: int) -> Sequence[ExportedNode]:
        """Returns the nodes that look a value up."""
        return self._tables.get(value, ())

    def made_by(
        self, reader: ExportedNode, index: int, operation: type[object]
    ) -> ExportedNode | None:
        """Returns the node of this kind that makes an operand that nothing else reads."""
        if index >= len(reader.inputs):
            return None
        value = reader.inputs[index]
        maker = self._makers.get(value)
        is_alone = self._reads.get(value) == 1
        return maker if is_alone and maker and isinstance(maker.operation, operation) else None


def without_unread(
    nodes: Sequence[ExportedNode], outputs: Iterable[int]
) -> tuple[ExportedNode, ...]:
    """Drops the nodes that no output needs."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if node.output in needed:
            needed.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))
