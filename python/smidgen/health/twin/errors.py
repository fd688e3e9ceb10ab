"""What a twin cannot be made of."""

from __future__ import annotations


class NoTwinError(Exception):
    """The program has a step that has no counterpart in float, such as a pool of unknown extents.

    Attributes:
        message: Which, for people.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
