"""Room on the disk that is held for what frees room: a full disk can so be emptied by deleting."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
from pathlib import Path

from smidgen_service.errors import StorageFullError
from smidgen_service.logs import log

PORTIONS = 8
PORTION_BYTES = 1 << 20
NEEDED_BYTES = 1 << 20
"""What a start needs, if it does not bring the database of an earlier server to its schema."""
_PROBE_BYTES = 1 << 16
_FULL = (errno.ENOSPC, errno.EDQUOT)
_BLIND = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says of some of the places at which it finds no room, and of other things too."""


class Reserve:
    """A folder of files without content, which take room until that is needed.

    They are given up one by one: who else writes to a full disk does not take all of it at once.
    Several files, and not one that is cut shorter, since some file systems free no part of a file.

    Args:
        folder: In the data directory; it need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._is_whole = not self._missing()
        self._is_told = False

    def make_room(self) -> None:
        """Gives up what a start needs and does not find free."""
        while not _is_free(self._folder.parent, NEEDED_BYTES) and self.give():
            pass

    def give(self) -> bool:
        """Gives a portion up; tells whether there was one."""
        with self._lock:
            left = sorted(self._folder.glob("*"))
            if not left:
                return False
            left[-1].unlink(missing_ok=True)
            self._is_whole, self._is_told = False, True
        log("reserve_used", level=logging.WARNING, bytes_left=(len(left) - 1) * PORTION_BYTES)
        return True

    def is_for_want_of_room(self, error: Exception) -> bool:
        """Tells whether there was no room for what failed."""
        if isinstance(error, OSError):
            return error.errno in _FULL
        if not isinstance(error, sqlite3.Error):
            return False
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in _BLIND:
            return not _is_free(self._folder.parent, _PROBE_BYTES)
        return code == sqlite3.SQLITE_FULL

    def keep(self) -> bool:
        """Takes room for what is missing; returns False where there is too little for that."""
        with self._lock:
            if self._is_whole:
                return True
            try:
                self._is_whole = self._refill()
            except OSError as error:  # a file system that keeps no room is no reason to refuse work
                log("reserve_fault", level=logging.WARNING, error=error)
                return True
            self._tell()
            return self._is_whole

    def check(self) -> None:
        """Refuses what takes room as long as there is too little to make the reserve whole.

        Raises:
            StorageFullError: there is too little.
        """
        if not self._is_whole and not self.keep():
            raise StorageFullError

    def _tell(self) -> None:
        """Logs that it is short, and once that it is whole again."""
        if self._is_told == self._is_whole:
            log("reserve_kept" if self._is_whole else "reserve_short", level=logging.WARNING)
        self._is_told = not self._is_whole

    def _missing(self) -> list[Path]:
        """Returns the files that are not there, or not whole."""
        return [
            path
            for path in (self._folder / str(number) for number in range(PORTIONS))
            if not path.exists() or path.stat().st_size != PORTION_BYTES
        ]

    def _refill(self) -> bool:
        self._folder.mkdir(exist_ok=True)
        return all(
            _is_free(self._folder.parent, PORTION_BYTES + NEEDED_BYTES)
            and _allocate(path, PORTION_BYTES)
            for path in self._missing()
        )


def _is_free(folder: Path, size: int) -> bool:
    """Tells whether there is room for a file; asking the file system would not tell of quotas."""
    probe = folder / f".room.{threading.get_ident()}.tmp"
    is_free = _allocate(probe, size)
    probe.unlink(missing_ok=True)
    return is_free


def _allocate(path: Path, size: int) -> bool:
    """Makes a file that takes its room; where there is too little, returns False and leaves none.

    Raises:
        OSError: something else is the matter.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in _FULL:
            return False
        raise
    return True
