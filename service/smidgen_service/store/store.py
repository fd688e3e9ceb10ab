"""Rows and files together."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass

from smidgen_service.clock import Clock, now_us
from smidgen_service.faults import hide
from smidgen_service.store import garbage
from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.references import is_referenced, references

_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Store:
    """What the server keeps in one data directory.

    Attributes:
        grace_s: How long a blob stays after the last row that referred to it, in seconds.
        clock: The time.
    """

    database: Database
    blobs: BlobStore
    grace_s: int = 0
    clock: Clock = now_us

    async def collect(self, digests: set[str]) -> int:
        """Deletes those of the blobs that no row has needed for the grace period.

        The row goes first and the file later: whoever has read a row may open its file, and a
        process that keeps all blobs, for a backup, finds the file of every row it has read.

        Returns:
            How many were deleted.
        """
        return await self.database.write_reserved(lambda tx: self._collect(tx, digests))

    async def collect_all(self) -> int:
        """Does the same for every blob there is."""
        found = await asyncio.to_thread(self.blobs.digests)
        unneeded, gone = await self.database.read(
            lambda tx: (found - references(tx), garbage.noted(tx) - found)
        )
        if not unneeded | gone:
            return 0
        return await self.collect(unneeded | gone)

    async def tidy(self, digests: set[str]) -> None:
        """Collects after a change that has taken effect: what fails now is done later."""
        try:
            await self.collect(digests)
        except Exception as error:  # upkeep tries again
            hide(error, "collection_fault")

    def _collect(self, tx: sqlite3.Connection, digests: set[str]) -> int:
        now, deleted = self.clock(), 0
        with self.blobs.deleting() as may_delete:
            for sha256 in sorted(digests):
                if is_referenced(tx, sha256) or self.blobs.is_pinned(sha256):
                    garbage.forget(tx, sha256)
                    continue
                is_due = now - garbage.note(tx, sha256, now=now) >= self.grace_s * _MICRO
                if may_delete and is_due and self.blobs.delete(sha256):
                    garbage.forget(tx, sha256)
                    deleted += 1
        return deleted
