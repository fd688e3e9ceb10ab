"""SQLite: one thread writes, another reads, every write is one durable transaction."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from smidgen_service.store.reserve import Reserve
from smidgen_service.store.schema import MIGRATIONS
from smidgen_service.store.watching import UNWATCHED, StoreOp, StoreWatch

T = TypeVar("T")


class SchemaTooNewError(Exception):
    """The database was written by a newer server."""


class DatabaseDamagedError(Exception):
    """The file is not a database any more, or parts of it are damaged."""


class Database:
    """The rows of one data directory.

    Work sees the rows of the tenant that its caller acts for, see store.tenancy.

    A write returns after its transaction is on disk (synchronous=FULL), so whatever is
    acknowledged afterwards survives a power failure. Reads see committed rows only.

    Args:
        path: The file.
        reserve: Room for writes that free some; None for no such room.
        watch: Is told of reads and writes.
    """

    def __init__(
        self, path: Path, reserve: Reserve | None = None, watch: StoreWatch = UNWATCHED
    ) -> None:
        self._path = path
        self._watch = watch
        self._reserve = reserve
        self._generation = 0
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="database-reader")
        self._write_connection: sqlite3.Connection
        self._read_connection: sqlite3.Connection

    @property
    def generation(self) -> int:
        """Changes with every committed write: what was read at an older one may be out of date."""
        return self._generation

    async def open(self) -> Self:
        """Opens the file, makes it if missing, and brings its schema up to date.

        Raises:
            DatabaseDamagedError: it is no database any more, or rows are missing.
            SchemaTooNewError: a newer server wrote it.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, self._open_writer)
        await loop.run_in_executor(self._reader, self._open_reader)
        return self

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs work in one transaction; an exception from it rolls everything back."""
        return await self._run_as_caller(self._writer, self._transact, work)

    async def write_reserved(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does the same, on a full disk with room from the reserve.

        For what frees room, and the little that has to go on meanwhile.

        Args:
            work: As for `write`; it is run again after it, or its commit, found no room.
        """
        return await self._run_as_caller(self._writer, self._transact_reserved, work)

    def keep_reserve(self) -> None:
        """Makes the reserve whole again if there is room for it."""
        if self._reserve is not None:
            self._reserve.keep()

    def check_room(self) -> None:
        """Refuses what takes room on the disk while only the reserve is left.

        Raises:
            StorageFullError: there is no other room.
        """
        if self._reserve is not None:
            self._reserve.check()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs work on one snapshot of the committed rows."""
        return await self._run_as_caller(self._reader, self._snapshot, work)

    @staticmethod
    async def _run_as_caller(
        thread: ThreadPoolExecutor,
        run: Callable[[Callable[[sqlite3.Connection], T]], T],
        work: Callable[[sqlite3.Connection], T],
    ) -> T:
        """Takes the caller's tenant along into the thread."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(thread, context.run, run, work)

    async def close(self) -> None:
        """Waits for writes in progress and closes the file."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader, self._read_connection.close)
        await loop.run_in_executor(self._writer, self._write_connection.close)
        self._reader.shutdown()
        self._writer.shutdown()

    def _open_writer(self) -> None:
        try:
            self._write_connection = self._connect()
            found = self._write_connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
        except sqlite3.OperationalError:
            raise  # it cannot be opened or written, which says nothing about what it holds
        except sqlite3.DatabaseError as error:
            raise DatabaseDamagedError(
                f"the database {self._path} is damaged ({error}); restore the data directory "
                "from a backup"
            ) from error
        self._with_reserve(lambda: migrate(self._write_connection))

    def _open_reader(self) -> None:
        self._read_connection = self._connect()
        self._read_connection.execute("PRAGMA query_only = ON")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 5000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._watch.watching(StoreOp.WRITE):
            result = _run(self._write_connection, "BEGIN IMMEDIATE", work)
        self._generation += 1
        return result

    def _transact_reserved(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self._with_reserve(lambda: self._transact(work))

    def _with_reserve(self, work: Callable[[], T]) -> T:
        """Repeats what finds no room as long as the reserve has some."""
        while True:
            try:
                return work()
            except (sqlite3.Error, OSError) as error:
                if self._reserve is None or not self._reserve.is_for_want_of_room(error):
                    raise
                if not self._reserve.give():
                    raise OSError(errno.ENOSPC, "the reserve is used up as well") from error

    def _snapshot(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._watch.watching(StoreOp.READ):
            return _run(self._read_connection, "BEGIN", work)


def migrate(connection: sqlite3.Connection) -> None:
    """Applies the migrations that the file has not seen, each in its own transaction.

    Raises:
        SchemaTooNewError: the file was written by a newer server.
    """
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > len(MIGRATIONS):
        raise SchemaTooNewError(
            f"the database has schema {found}, this server knows up to {len(MIGRATIONS)}; "
            "use a newer server"
        )
    enforces_keys = connection.execute("PRAGMA foreign_keys").fetchone()[0]
    # Tables are made anew in some migrations; whether all still fits is checked at the end of each.
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        for number, statements in enumerate(MIGRATIONS[found:], start=found + 1):
            _migrate_by_one(connection, number, statements)
    finally:
        connection.execute(f"PRAGMA foreign_keys = {enforces_keys}")


def _migrate_by_one(
    connection: sqlite3.Connection, number: int, statements: tuple[str, ...]
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            connection.execute(statement)
        dangling = connection.execute("PRAGMA foreign_key_check").fetchone()
        if dangling is not None:
            raise DatabaseDamagedError(
                f"a row of {dangling[0]} in the database points at one of {dangling[2]} that does "
                "not exist; restore the data directory from a backup"
            )
        connection.execute(f"PRAGMA user_version = {number}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _run(connection: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute(begin)
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself where the disk is full; and a COMMIT that failed otherwise
        # leaves the transaction open, in which case every later one would fail.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result
