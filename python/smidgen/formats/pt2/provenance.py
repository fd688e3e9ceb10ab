"""Where a node of a .pt2 file comes from in the user's own program: text for display alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, lru_cache

from smidgen.errors import InvalidModelError
from smidgen.formats.pt2.records import RawGraph, RawNode, SymbolRef, TensorRef

MOST_SOURCE = 120

_DISPLAY_PATH = re.compile(r"[A-Za-z0-9_.]{0,200}")
_FRAME = re.compile(r'File "([^"\n]{1,1024})", line (\d{1,7}), in ([^\n]{1,80})')
# What is looked at of a trace, from its end: torch writes all frames of it, the innermost last.
_MOST_TRACE = 16_384
_TORCH = "/torch/"
_GENERATED = "<eval_with_key>"  # the code that torch.fx makes of a graph, such as one of torch.cond


def module_path(metadata: Mapping[str, str]) -> str:
    """Returns the path of the innermost module, from `L__self__,,Net;L__self__a,a,Conv2d`."""
    innermost = metadata.get("nn_module_stack", "").rsplit(";", 1)[-1]
    path = innermost.split(",")[1] if innermost.count(",") >= 2 else ""
    return path if _DISPLAY_PATH.fullmatch(path) else ""


def source_line(metadata: Mapping[str, str]) -> str:
    """Returns the line that called the operator, `net.py:12 in forward`; empty if none is stated.

    It is the innermost one outside torch and what torch generates. Of the file no more than its
    name is told, and of whatever the trace states no more than MOST_SOURCE printable characters.
    """
    return _innermost(metadata.get("stack_trace", "")[-_MOST_TRACE:])


@lru_cache(64)  # the calls of one line follow each other
def _innermost(trace: str) -> str:
    frames = [frame for frame in _FRAME.findall(trace) if not frame[0].startswith(_GENERATED)]
    own = [frame for frame in frames if _TORCH not in frame[0].replace("\\", "/")]
    if not frames:
        return ""
    file, line, function = (own or frames)[-1]
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    shown = f"{name}:{line} in {function}"
    if not shown.isprintable():
        shown = "".join(c for c in shown if c.isprintable())
    return shown[:MOST_SOURCE]


class SourceLines:
    """The lines that the nodes of a graph come from, which are looked for when one is asked for.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: RawGraph) -> None:
        self._nodes = graph.nodes

    def of(self, node: RawNode) -> str:
        """Returns a node's line, or `after net.py:12 in forward` if only one before it has one."""
        return self._lines[id(node)]

    def of_value(self, name: str) -> str:
        """Returns the line of the node that gives a value; empty if none does."""
        found = (node for node in self._nodes if name in _names(node))
        return next(map(self.of, found), "")

    @cached_property
    def _lines(self) -> dict[int, str]:
        lines: dict[int, str] = {}
        before = ""
        for node in self._nodes:
            own = source_line(node.metadata)
            lines[id(node)] = own or before
            before = f"after {own}" if own else before
        return lines


def _names(node: RawNode) -> set[str]:
    items = [
        item
        for output in node.outputs
        for item in (output if isinstance(output, tuple) else (output,))
    ]
    return {item.name for item in items if isinstance(item, TensorRef | SymbolRef)}


def located(error: InvalidModelError, source: str) -> InvalidModelError:
    """Returns a refusal that tells the line which it comes from, if there is one."""
    if not source:
        return error
    other = error.reworded(f"{error.message} It comes from {source}.")
    other.metadata = {**error.metadata, "source": source}
    return other
