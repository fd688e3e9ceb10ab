"""Which nodes of a graph nothing uses: exports keep the calls whose results were dropped."""

from __future__ import annotations

from collections.abc import Iterator

from smidgen.formats.pt2.records import Argument, RawGraph, SymbolRef, TensorRef
from smidgen.graph.operator_table import PREFIX


def unused_nodes(graph: RawGraph) -> frozenset[int]:
    """Returns the numbers of the nodes on which no output depends and that write to nothing.

    An operator whose name ends in an underscore writes to its first argument, and one without
    outputs states what must hold; both are used.
    """
    needed = {name for output in graph.outputs for name in _names(output)}
    unused: set[int] = set()
    for index in range(len(graph.nodes) - 1, -1, -1):
        node = graph.nodes[index]
        outputs = [name for output in node.outputs for name in _names(output)]
        base = node.target.removeprefix(PREFIX).split(".", 1)[0]
        if outputs and not base.endswith("_") and needed.isdisjoint(outputs):
            unused.add(index)
        else:
            needed.update(name for item in node.inputs for name in _names(item.arg))
    return frozenset(unused)


def _names(argument: Argument) -> Iterator[str]:
    if isinstance(argument, TensorRef | SymbolRef):
        yield argument.name
    elif isinstance(argument, tuple):
        for item in argument:
            yield from _names(item)
