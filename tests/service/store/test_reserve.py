"""Room that is held until a full disk needs it."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from smidgen_service.errors import StorageFullError
from smidgen_service.faults import storage_error
from smidgen_service.store.database import Database
from smidgen_service.store.reserve import NEEDED_BYTES, PORTION_BYTES, PORTIONS, Reserve
from tests.service.store.test_database_faults import of_sqlite

WHOLE = PORTIONS * PORTION_BYTES


class Disk:
    """As many free bytes as it is told; files that are allocated do not change that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 1 << 40
        self.error = errno.ENOSPC
        self._allocate = os.posix_fallocate
        monkeypatch.setattr(os, "posix_fallocate", self.allocate)

    def allocate(self, descriptor: int, offset: int, size: int) -> None:
        if size > self.free:
            raise OSError(self.error, os.strerror(self.error))
        self._allocate(descriptor, offset, size)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def held(root: Path) -> int:
    """Returns the bytes that a reserve takes on the disk."""
    return sum(path.stat().st_blocks * 512 for path in (root / "reserve").glob("*"))


def test_reserve_takes_its_room_and_gives_it_up_piece_by_piece(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "reserve")
    assert reserve.keep()
    assert held(tmp_path) == WHOLE
    for number in range(1, PORTIONS + 1):
        assert reserve.give()
        assert held(tmp_path) == WHOLE - number * PORTION_BYTES
    assert not reserve.give()
    assert reserve.keep()
    assert held(tmp_path) == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["reserve"]


def test_reserve_is_made_whole_only_where_room_for_a_start_is_left(
    tmp_path: Path, disk: Disk
) -> None:
    reserve = Reserve(tmp_path / "reserve")
    disk.free = PORTION_BYTES + NEEDED_BYTES - 1
    assert not reserve.keep()
    assert held(tmp_path) == 0
    with pytest.raises(StorageFullError):
        reserve.check()
    disk.free += 1
    reserve.check()
    assert held(tmp_path) == WHOLE


def test_file_that_a_crash_cut_short_is_made_again(tmp_path: Path) -> None:
    Reserve(tmp_path / "reserve").keep()
    os.truncate(tmp_path / "reserve" / "3", 5)
    assert held(tmp_path) < WHOLE
    assert Reserve(tmp_path / "reserve").keep()
    assert held(tmp_path) == WHOLE


@pytest.mark.parametrize(("free", "left"), [(NEEDED_BYTES - 1, 0), (NEEDED_BYTES, WHOLE)])
def test_start_gets_the_reserve_where_it_has_too_little_room(
    tmp_path: Path, disk: Disk, free: int, left: int
) -> None:
    Reserve(tmp_path / "reserve").keep()
    disk.free = free
    Reserve(tmp_path / "reserve").make_room()
    assert held(tmp_path) == left


def test_file_system_that_holds_no_room_refuses_nothing(tmp_path: Path, disk: Disk) -> None:
    disk.free, disk.error = 0, errno.EOPNOTSUPP
    reserve = Reserve(tmp_path / "reserve")
    reserve.check()
    assert held(tmp_path) == 0


@pytest.mark.parametrize(
    ("error", "free", "expected"),
    [
        (of_sqlite(sqlite3.SQLITE_FULL), 1 << 40, True),
        (of_sqlite(sqlite3.SQLITE_IOERR_SHMSIZE), 0, True),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN), 0, True),
        (of_sqlite(sqlite3.SQLITE_IOERR_SHMSIZE), 1 << 40, False),
        (of_sqlite(sqlite3.SQLITE_CORRUPT), 0, False),
        (OSError(errno.ENOSPC, ""), 1 << 40, True),
        (OSError(errno.EDQUOT, ""), 1 << 40, True),
        (OSError(errno.EIO, ""), 0, False),
        (ValueError(""), 0, False),
    ],
)
def test_want_of_room_is_told_from_other_faults(
    tmp_path: Path, disk: Disk, error: Exception, free: int, expected: bool
) -> None:
    disk.free = free
    assert Reserve(tmp_path / "reserve").is_for_want_of_room(error) is expected


async def test_write_that_frees_room_is_repeated_with_what_the_reserve_gives(
    tmp_path: Path,
) -> None:
    reserve = Reserve(tmp_path / "reserve")
    reserve.keep()
    database = await Database(tmp_path / "smidgen.db", reserve).open()
    failures = [of_sqlite(sqlite3.SQLITE_FULL), OSError(errno.ENOSPC, "no room")]

    def work(tx: sqlite3.Connection) -> int:
        tx.execute("INSERT OR REPLACE INTO garbage VALUES ('digest', 7)")
        if failures:
            raise failures.pop()
        return int(tx.execute("SELECT since FROM garbage").fetchone()[0])

    try:
        with pytest.raises(OSError, match="no room"):
            await database.write(work)
        assert held(tmp_path) == WHOLE
        failures.append(of_sqlite(sqlite3.SQLITE_FULL))
        assert await database.write_reserved(work) == 7
        assert held(tmp_path) == WHOLE - 2 * PORTION_BYTES
        failures += [of_sqlite(sqlite3.SQLITE_FULL)] * (PORTIONS - 1)
        with pytest.raises(OSError, match="used up") as caught:
            await database.write_reserved(work)
        assert isinstance(storage_error(caught.value), StorageFullError)
        assert held(tmp_path) == 0
    finally:
        await database.close()
