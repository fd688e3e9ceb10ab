"""Gathers everything that is not supported in a model, to tell it all at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from smidgen.errors import UnsupportedOperatorError

# The last two in characters: messages travel in headers, which gRPC lets have 8 KiB.
_MOST_OPERATORS, _MOST_TEXT, _MOST_PLACES = 64, 3072, 4096

_ADVICE = {
    "a recurrent layer: write its steps out, for a fixed number of tokens, with linear layers, "
    "sigmoid and tanh, or use convolutions or attention": (
        "lstm", "gru", "rnn", "rnn_tanh", "rnn_relu",
    ),
    "writing to a part of a tensor: put the result together with torch.cat, or choose with "
    "torch.where": (
        "fill_", "copy_", "index_put", "index_put_", "slice_scatter", "select_scatter",
        "scatter", "scatternd", "scatterelements",
    ),
    "whole numbers of what is computed from the inputs: compute sizes and places with Python's "
    "integers, before export": (
        "floor_divide", "remainder", "fmod", "bitwise_xor", "bitwiseshift",
    ),
    "a choice or a loop that the values decide: compute both branches and choose with torch.where, "
    "and write out the steps of a loop": ("cond", "while_loop"),
    "an order that the values decide: give all values back and sort outside": (
        "topk", "sort", "argsort", "nonzero", "unique", "nonmaxsuppression",
    ),
}  # fmt: skip
"""What to do instead, and the operators of .pt2 and ONNX that it is said of."""
_ADVICE_OF = {operator: advice for advice, operators in _ADVICE.items() for operator in operators}


class UnsupportedOperators:
    """Operators that are not supported, with the nodes that use them.

    Args:
        supported_count: How many operators are, for the message.
    """

    def __init__(self, supported_count: int) -> None:
        self._supported_count = supported_count
        self._nodes: dict[str, dict[str, None]] = {}  # places in order, each once
        self._first: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return self._first is not None

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
        base = operator.removeprefix("aten.").removeprefix("higher_order.")
        base = base.split(".", 1)[0].lower()
        detail = detail or _ADVICE_OF.get(base, "")
        key = f"{operator} ({detail})" if detail else operator
        self._nodes.setdefault(key, {})[place] = None
        self._first = self._first or (operator, node)

    def raise_if_any(self) -> None:
        """Raises UnsupportedOperatorError if anything was added."""
        if self._first is None:
            return
        count = len(self._nodes)
        told = min(_fitting(list(self._nodes), _MOST_TEXT), _MOST_OPERATORS)
        lines = [
            f"{key} at {_enumerate(list(nodes), _MOST_PLACES // told)}"
            for key, nodes in islice(self._nodes.items(), told)
        ]
        shown = "; ".join(lines)
        more = f"; and {count - told} more" if count > told else ""
        operator, node = self._first
        raise UnsupportedOperatorError(
            f"The model uses operators that are not supported: {shown}{more}. "
            "Replace them by supported ones and export again: docs/operators.md lists the "
            f"{self._supported_count} that are.",
            reason="UNSUPPORTED_OPERATOR",
            op=operator,
            node=node,
        )


def _enumerate(nodes: list[str], most: int) -> str:
    """Lists nodes in about so many characters, one at least."""
    shown = _fitting(nodes, most)
    listed = ", ".join(nodes[:shown])
    return f"{listed} and {len(nodes) - shown} more" if shown < len(nodes) else listed


def _fitting(texts: Sequence[str], most: int) -> int:
    """Returns how many texts, the first ones, have about so many characters; one at least."""
    count, length = 1, len(texts[0])
    while count < len(texts) and length + len(texts[count]) + 2 <= most:
        length += len(texts[count]) + 2
        count += 1
    return count
