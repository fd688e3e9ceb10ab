"""Rows and files together."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.references import is_referenced


@dataclass(frozen=True, slots=True)
class Store:
    """What the server keeps in one data directory."""

    database: Database
    blobs: BlobStore

    async def collect(self, digests: set[str]) -> int:
        """Deletes those of the blobs that no row needs any more; returns how many."""
        return await self.database.write(
            lambda tx: self.blobs.collect(digests, lambda sha256: is_referenced(tx, sha256))
        )
