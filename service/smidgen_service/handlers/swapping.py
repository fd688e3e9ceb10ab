"""Versions that come into service and go: loaded and warm before, unloaded after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from smidgen.errors import SmidgenError
from smidgen_service.handlers.keeping import Keeper
from smidgen_service.store.database import Database
from smidgen_service.store.records import VersionRecord
from smidgen_service.store.references import unserved


class Swapper:
    """Readies versions for service, and gives the memory of others back.

    Args:
        database: The rows.
        keeper: Keeps versions ready.
    """

    def __init__(self, database: Database, keeper: Keeper) -> None:
        self._database = database
        self._keeper = keeper

    @asynccontextmanager
    async def ready(
        self, version: VersionRecord, like: VersionRecord | None
    ) -> AsyncIterator[None]:
        """Does what the keeper does; a version that the block refuses to let serve is let go."""
        try:
            async with self._keeper.ready(version, like):
                yield
        except SmidgenError:
            await self.let_go([version.sha256])
            raise

    async def let_go(self, digests: Iterable[str]) -> None:
        """Unloads artifacts that serve nobody any more, each after its last request."""
        wanted = tuple(digests)
        while True:
            generation = self._database.generation
            found = await self._database.read(lambda tx: unserved(tx, wanted))
            if generation == self._database.generation:
                break  # else one of them may serve by now
        for sha256 in found:
            self._keeper.retire(sha256)
