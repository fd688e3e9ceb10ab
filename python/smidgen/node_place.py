"""How messages name an operation of a user's model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import fx

from smidgen.errors import CalibrationError, UnsupportedOperatorError


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


@contextmanager
def naming(node: fx.Node) -> Iterator[None]:
    """Lets errors about the numbers of an operation begin with where it comes from."""
    try:
        yield
    except (CalibrationError, UnsupportedOperatorError) as error:
        raise error.reworded(f"{node.name} ({place_of(node)}): {error.message}") from None
