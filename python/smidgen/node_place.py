"""How messages name an operation of a user's model."""

from __future__ import annotations

from torch import fx


def place_of(node: fx.Node) -> str:
    """Says where a node comes from: its module, or else what it does, and the line.

    >>> graph = fx.Graph()
    >>> x = graph.placeholder("x")
    >>> x.meta = {"op": "affine", "source": "net.py:7"}
    >>> place_of(x)
    'affine, net.py:7'
    """
    module = str(node.meta.get("module_path") or node.meta.get("op") or "input")
    source = node.meta.get("source")
    return f"{module}, {source}" if source else module
