"""Who is told how long the store takes, and of its errors."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Protocol


class StoreOp(StrEnum):
    """What the store does."""

    READ = "read"
    WRITE = "write"
    VERIFY = "verify"
    ADOPT = "adopt"


class StoreWatch(Protocol):
    """Is told of each operation, in whichever thread it is."""

    def watching(self, op: StoreOp) -> AbstractContextManager[None]:
        """Returns what surrounds an operation."""


class Unwatched:
    """Tells nobody."""

    def watching(self, op: StoreOp) -> AbstractContextManager[None]:
        """Returns what surrounds an operation."""
        return nullcontext()


UNWATCHED = Unwatched()
