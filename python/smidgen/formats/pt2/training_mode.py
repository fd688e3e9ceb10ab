"""Tells whether a graph was exported in training mode, which it is not read in."""

from __future__ import annotations

from collections.abc import Iterator, Set

from smidgen.formats.pt2.provenance import module_path
from smidgen.formats.pt2.records import RawGraph, RawNode
from smidgen.graph.operator_table import PREFIX

_FLAGS = {
    "batch_norm": "training",
    "_native_batch_norm_legit_functional": "training",
    "dropout": "train",
    "dropout_": "train",
    "feature_dropout": "train",
    "feature_dropout_": "train",
}
"""Operators that do something else in training, by the argument that says so."""


def training_warnings(graph: RawGraph, unused: Set[int]) -> tuple[str, ...]:
    """Returns a warning for people if nodes that an output needs are in training form.

    Args:
        graph: The graph.
        unused: The numbers of the nodes that no output needs.
    """
    found = [
        _place(node)
        for index, node in enumerate(graph.nodes)
        if index not in unused and any(_flags(node))
    ]
    if not found:
        return ()
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"The model was exported in training mode: {found[0]}{others}. It is read in evaluation "
        "mode: batch normalizations use their running statistics, not those of the batch, and "
        "dropouts do nothing, so its outputs differ from those of the exported program. Train it "
        "until the running statistics fit, call eval() and export it again to see the same.",
    )


def _flags(node: RawNode) -> Iterator[bool]:
    flag = _FLAGS.get(_base(node))
    return (item.arg is True for item in node.inputs if item.name == flag)


def _place(node: RawNode) -> str:
    path = module_path(node.metadata)
    return f"{_base(node)} in {path}" if path else _base(node)


def _base(node: RawNode) -> str:
    return node.target.removeprefix(PREFIX).split(".", 1)[0]
