"""Packed weights that processes of a server have in common, or that one process has to itself."""

from __future__ import annotations

from typing import Protocol

from smidgen.engine import Engine


class SharedWeights(Protocol):
    """Keeps what engines of several processes have packed alike in memory once."""

    async def share(self, sha256: str, engine: Engine) -> bool:
        """Tells whether the weights of an engine are shared from here on, if they can be.

        Args:
            sha256: The digest of its artifact.
            engine: The engine, whose values are the same afterwards.
        """

    def let_go(self, sha256: str, engine: Engine) -> None:
        """Takes note that an engine goes whose weights are shared."""


class OwnWeights:
    """Shares nothing: there is no other process that has engines."""

    async def share(self, _sha256: str, _engine: Engine) -> bool:
        """Tells that nothing is shared."""
        return False

    def let_go(self, sha256: str, engine: Engine) -> None:
        """Is never called."""


OWN_WEIGHTS = OwnWeights()
