"""The store as a process sees it that writes nothing: another one does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

from smidgen_service.store.blobs import BlobStore
from smidgen_service.store.database import Database
from smidgen_service.store.watching import UNWATCHED, StoreWatch

T = TypeVar("T")


class FollowingDatabase(Database):
    """The rows of a data directory that another process has open."""

    def __init__(self, path: Path, watch: StoreWatch = UNWATCHED) -> None:
        super().__init__(path, watch=watch)
        self._watching: sqlite3.Connection | None = None
        self._unsure = 0

    @property
    def generation(self) -> int:
        """Changes with every write of any process.

        SQLite tells from memory that it shares with the writer, in some microseconds: what is
        asked for after a write was acknowledged sees that write, whoever acknowledged it.
        """
        if self._watching is None:
            return 0
        try:
            return int(self._watching.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.OperationalError:  # something may have changed
            self._unsure -= 1
            return self._unsure

    async def open(self) -> Self:
        """Opens the file, which the other process has brought up to date."""
        self._watching = self._connect()
        await asyncio.get_running_loop().run_in_executor(self._reader, self._open_reader)
        return self

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Refuses.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("this process writes nothing")

    async def close(self) -> None:
        """Closes the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader, self._read_connection.close)
        self._reader.shutdown()
        if self._watching is not None:
            self._watching.close()

    def _connect(self) -> sqlite3.Connection:
        address = f"{self._path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, isolation_level=None, uri=True)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection


class FollowingBlobs(BlobStore):
    """The files of a data directory from which another process deletes."""

    @contextmanager
    def pinned(self, *digests: str) -> Iterator[None]:
        """Keeps blobs from being deleted, by that process too."""
        with super().pinned(*digests), self.kept():
            yield
