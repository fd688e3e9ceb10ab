"""What a person calls a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from smidgen.report import NodeReport


def label(node: NodeReport) -> str:
    """Returns the path in the user's model, with the operator where it has no letter.

    Nodes that are no module of their own go by the operator and the node's name.

    >>> label(NodeReport("v3", "add", is_quantized=True))
    'add v3'
    >>> label(NodeReport("v3", "linear", is_quantized=True, module_path="20"))
    'linear 20'
    """
    if any(map(str.isalpha, node.module_path)):
        return node.module_path
    return f"{node.op} {node.module_path or node.node}"


def labels_of(nodes: Sequence[NodeReport]) -> Callable[[str], str]:
    """Returns what finds the label of a node by its name; a name that is no node is an input."""
    known = {node.node: label(node) for node in nodes}
    return lambda name: known.get(name, name if name == "input" else f"input {name}")
