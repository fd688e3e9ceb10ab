"""A full disk and a damaged file: clear errors, and work goes on where it can."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from smidgen.errors import SmidgenError
from smidgen_service.errors import DataLossError, StorageFaultError, StorageFullError
from smidgen_service.faults import storage_error
from smidgen_service.store.database import Database, DatabaseDamagedError


async def test_full_database_is_named_and_works_again_once_there_is_room(tmp_path: Path) -> None:
    database = await Database(tmp_path / "smidgen.db").open()

    def insert(tx: sqlite3.Connection) -> None:
        tx.execute(
            "INSERT INTO requests"
            " VALUES ('default', 'm', hex(randomblob(9)), hex(zeroblob(90000)), '', 0)"
        )

    def limit(most: int) -> Callable[[sqlite3.Connection], object]:
        return lambda tx: tx.execute(f"PRAGMA max_page_count = {most}").fetchone()

    try:
        await database.write(insert)
        await database.write(limit(1))
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError) as caught:
                await database.write(insert)
            assert isinstance(storage_error(caught.value), StorageFullError)
        await database.write(limit(1 << 30))
        await database.write(insert)
        rows = await database.read(lambda tx: tx.execute("SELECT * FROM requests").fetchall())
        assert len(rows) == 2
    finally:
        await database.close()


def of_sqlite(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("text that stays inside")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "expected", "reason"),
    [
        (of_sqlite(sqlite3.SQLITE_FULL), StorageFullError, "STORAGE_FULL"),
        (of_sqlite(sqlite3.SQLITE_IOERR_FSYNC), StorageFaultError, "STORAGE_FAULT"),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN), StorageFaultError, "STORAGE_FAULT"),
        (of_sqlite(sqlite3.SQLITE_CORRUPT), DataLossError, "DATABASE_DAMAGED"),
        (OSError(errno.ENOSPC, "text that stays inside"), StorageFullError, "STORAGE_FULL"),
        (OSError(errno.EIO, "text that stays inside"), StorageFaultError, "STORAGE_FAULT"),
        (OSError(errno.EMFILE, "text that stays inside"), StorageFaultError, "STORAGE_FAULT"),
    ],
)
def test_faults_of_the_disk_have_errors_of_their_own(
    error: Exception, expected: type[SmidgenError], reason: str
) -> None:
    found = storage_error(error)
    assert isinstance(found, expected)
    assert found.reason == reason
    assert "inside" not in found.message


def test_other_errors_are_no_faults_of_the_disk() -> None:
    for error in (ValueError("x"), OSError(errno.EPIPE, "x"), sqlite3.IntegrityError("x")):
        assert storage_error(error) is None


@pytest.mark.parametrize("damage", ["garbage", "truncated", "page"])
async def test_damaged_database_is_refused_with_its_path(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "smidgen.db"
    await (await Database(path).open()).close()
    data = path.read_bytes()
    path.write_bytes(
        {
            "garbage": b"garbage " * 1000,
            "truncated": data[: len(data) // 2],
            "page": data[:4096] + b"\xff" * 4096 + data[8192:],
        }[damage]
    )
    with pytest.raises(DatabaseDamagedError, match="restore the data directory") as caught:
        await Database(path).open()
    assert str(path) in str(caught.value)
