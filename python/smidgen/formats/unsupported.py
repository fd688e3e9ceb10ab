"""Gathers everything that is not supported in a model, to tell it all at once."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.errors import UnsupportedOperatorError

_MAX_OPERATORS, _MAX_NODES = 32, 8


class UnsupportedOperators:
    """Operators that are not supported, with the nodes that use them.

    Args:
        supported: Names of the operators that are, for the message.
    """

    def __init__(self, supported: Sequence[str]) -> None:
        self._supported = supported
        self._nodes: dict[str, dict[str, None]] = {}  # places in order, each once
        self._first: tuple[str, str] | None = None

    def add(
        self, target: str, node: str, module_path: str, detail: str, *, source: str = ""
    ) -> None:
        """Adds one node.

        Args:
            target: The operator as the file names it; display text.
            node: The node's name in the file.
            module_path: The module that it came from.
            detail: What about it is not supported; empty if nothing is.
            source: The line of the user's program that it comes from; display text.
        """
        shown = "".join(c for c in target[:80] if c.isprintable())
        operator = shown.removeprefix("torch.ops.")
        place = f"{node} in {module_path}" if module_path else node
        if source:
            place += f" ({source})"
        key = f"{operator} ({detail})" if detail else operator
        self._nodes.setdefault(key, {})[place] = None
        self._first = self._first or (operator, node)

    def raise_if_any(self) -> None:
        """Raises UnsupportedOperatorError if anything was added."""
        if self._first is None:
            return
        lines = [f"{key} at {_enumerate(list(nodes))}" for key, nodes in self._nodes.items()]
        shown = "; ".join(lines[:_MAX_OPERATORS])
        more = f"; and {len(lines) - _MAX_OPERATORS} more" if len(lines) > _MAX_OPERATORS else ""
        operator, node = self._first
        raise UnsupportedOperatorError(
            f"The model uses operators that are not supported: {shown}{more}. "
            "Replace them by supported ones and export again. Supported are: "
            f"{', '.join(self._supported)}.",
            reason="UNSUPPORTED_OPERATOR",
            op=operator,
            node=node,
        )


def _enumerate(nodes: list[str]) -> str:
    shown = ", ".join(nodes[:_MAX_NODES])
    return f"{shown} and {len(nodes) - _MAX_NODES} more" if len(nodes) > _MAX_NODES else shown
