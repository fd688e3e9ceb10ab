"""What messages of one kind have in common: all of them but the values of their tensor.

A client that asks a model again sends the same bytes again, with other values. All that tells how
a message is to be read, the length of the values too, stands around them: a message as long as an
earlier one, with the same bytes around its values, says the same, and need not be parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_HEADS = 256
"""Messages that are remembered; of more, the oldest is forgotten."""
MOST_AROUND_BYTES = 1024
"""Bytes around the values of a message that is remembered."""
_KEY_BYTES = 24


@dataclass(frozen=True, slots=True)
class _Head(Generic[T]):
    """An earlier message: the bytes before its values, those behind them, and what it said."""

    before: bytes
    behind: bytes
    end: int
    meaning: T


class Heads(Generic[T]):
    """Finds what a message says by an earlier one that said the same of other values."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], _Head[T]] = {}

    def find(self, message: bytes) -> tuple[T, memoryview] | None:
        """Returns what was said by an earlier message, and the values of this one."""
        head = self._known.get((len(message), message[:_KEY_BYTES]))
        if head is None or not message.startswith(head.before):
            return None
        if head.behind and not message.endswith(head.behind):
            return None
        return head.meaning, memoryview(message)[len(head.before) : head.end]

    def remember(self, message: bytes, start: int, end: int, meaning: T) -> None:
        """Notes what a message says.

        Args:
            message: The message.
            start: Where its values begin, which nothing that it says may depend on.
            end: Where they end.
            meaning: What it says, without its values.
        """
        if start < _KEY_BYTES or start + len(message) - end > MOST_AROUND_BYTES:
            return
        key = len(message), message[:_KEY_BYTES]
        if key not in self._known and len(self._known) >= MOST_HEADS:
            del self._known[next(iter(self._known))]
        self._known[key] = _Head(message[:start], message[end:], end, meaning)
