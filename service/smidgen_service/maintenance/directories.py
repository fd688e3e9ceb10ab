"""Opening a data directory for maintenance, beside its server or instead of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from smidgen_service.data_dir import DataDir, DataDirInUseError
from smidgen_service.errors import DataDirectoryError
from smidgen_service.store.schema import MIGRATIONS


def existing(root: Path) -> DataDir:
    """Returns a data directory that holds a database.

    Raises:
        DataDirectoryError: it does not.
    """
    data_dir = DataDir(root.resolve())
    if not data_dir.database.is_file():
        raise DataDirectoryError(
            f"{root} holds no {data_dir.database.name}; name the --data-dir of a server",
            reason="NO_DATA_DIRECTORY",
        )
    return data_dir


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens a database to read it; a server may be writing to it meanwhile.

    Raises:
        DataDirectoryError: the database has another schema than this version.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute("PRAGMA query_only = ON")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found != len(MIGRATIONS):
            raise DataDirectoryError(
                f"the database has schema {found}, this version knows {len(MIGRATIONS)}; use the "
                "version of the server, or let this version's server run once",
                reason="OTHER_SCHEMA",
            )
        yield connection


@contextmanager
def alone(data_dir: DataDir) -> Iterator[None]:
    """Holds a data directory, so that no server uses it.

    Raises:
        DataDirectoryError: a server does.
    """
    try:
        with data_dir.locked():
            yield
    except DataDirInUseError as error:
        raise DataDirectoryError(
            f"{error} first: it must not change what is repaired or restored",
            reason="DATA_DIRECTORY_IN_USE",
        ) from None
