"""The data directory: its layout, its lock, and the file that tells where the server listens."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smidgen.durable_file import sync_folder, write_durably


class DataDirInUseError(Exception):
    """Another server uses the data directory."""


class DataDirIncompleteError(Exception):
    """A backup was not restored to its end."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """The places below the data directory."""

    root: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "smidgen.db"

    @property
    def blobs(self) -> Path:
        """Files by digest."""
        return self.root / "blobs"

    @property
    def uploads(self) -> Path:
        """Files that are being received."""
        return self.root / "uploads"

    @property
    def jobs(self) -> Path:
        """Scratch directories of workers."""
        return self.root / "jobs"

    @property
    def decoders(self) -> Path:
        """Scratch directories of the processes that decode images for Infer."""
        return self.root / "decoders"

    @property
    def control(self) -> Path:
        """The socket of the control process, where several processes serve."""
        return self.root / "control"

    @property
    def reserve(self) -> Path:
        """Files that hold room for what frees room."""
        return self.root / "reserve"

    @property
    def quarantine(self) -> Path:
        """Damaged files that a repair put aside."""
        return self.root / "quarantine"

    @property
    def unfinished_restore(self) -> Path:
        """A file that is there while a backup is being restored, and after that broke off."""
        return self.root / "restoring"

    @property
    def key(self) -> Path:
        """The secret behind page tokens."""
        return self.root / "secret.key"

    @property
    def announcement(self) -> Path:
        """Ports and process id of the running server."""
        return self.root / "server.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the directory and holds it for this process alone.

        Raises:
            DataDirInUseError: another process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DataDirInUseError(
                f"another server is using {self.root}; stop it, or choose another --data-dir"
            ) from None
        try:
            sync_folder(self.root.parent)
            for stale in self.root.glob("*.tmp"):
                stale.unlink()
            yield
        finally:
            os.close(descriptor)

    def check_complete(self) -> None:
        """Refuses a directory into which a backup was restored in part.

        Raises:
            DataDirIncompleteError: it is one.
        """
        if self.unfinished_restore.exists():
            raise DataDirIncompleteError(
                f"a backup was restored into {self.root} and not to its end; empty the directory "
                "and restore it again"
            )

    def announce(self, *, port: int, metrics_port: int | None) -> None:
        """Writes server.json; readers see the old file or the whole new one."""
        document = {"port": port, "metrics_port": metrics_port, "pid": os.getpid()}
        write_durably(self.announcement, (json.dumps(document) + "\n").encode())

    def withdraw(self) -> None:
        """Removes server.json."""
        self.announcement.unlink(missing_ok=True)
