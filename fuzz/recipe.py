"""A stream of choices taken from an input's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Recipe:
    """Choices in order; when the bytes are used up, every choice is the first.

    Args:
        data: The input of the engine.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def is_over(self) -> bool:
        """Whether all bytes are used up."""
        return self._position >= len(self._data)

    def take(self, count: int) -> bytes:
        """Returns the next bytes, fewer at the end."""
        taken = self._data[self._position : self._position + count]
        self._position += count
        return taken

    def below(self, bound: int) -> int:
        """Returns a number from 0 to bound - 1."""
        width = max((bound - 1).bit_length() + 7, 8) // 8
        return int.from_bytes(self.take(width), "little") % bound

    def pick(self, choices: Sequence[T]) -> T:
        """Returns one of several things."""
        return choices[self.below(len(choices))]
