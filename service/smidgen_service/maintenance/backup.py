"""Backups of a data directory, also of one that a server is using, and the way back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from smidgen.durable_file import sync_folder, write_durably
from smidgen_service.clock import Clock, now_us
from smidgen_service.data_dir import DataDir
from smidgen_service.errors import DataDirectoryError, DataLossError
from smidgen_service.jobs.checkpoints import CHECKPOINT_NAME
from smidgen_service.maintenance.copying import copy_file, make_folders
from smidgen_service.maintenance.directories import alone, existing, reading
from smidgen_service.maintenance.manifest import StoredFile, read_manifest, write_manifest
from smidgen_service.store import jobs
from smidgen_service.store.blobs import BlobStore, file_sha256
from smidgen_service.store.references import references


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied."""

    file_count: int
    total_bytes: int


def back_up(root: Path, folder: Path, *, clock: Clock = now_us) -> Copied:
    """Copies a data directory into an empty folder. A server may be using it meanwhile.

    The backup has the rows of one moment and every file that they need: files are not deleted
    while it runs. Uploads that are not complete are left out.

    Raises:
        DataDirectoryError: there is no data directory, or the folder is not empty.
        DataLossError: a file that is needed is missing or damaged; the backup is not whole.
    """
    data_dir = existing(root)
    _make_empty(folder)
    folder.chmod(0o700)  # it will hold all that is stored, and the key
    copy = DataDir(folder.resolve())
    files: dict[str, StoredFile] = {}
    with BlobStore(data_dir.blobs).kept():
        _copy_database(data_dir.database, copy.database)
        for source, sha256 in _needed(data_dir, copy.database):
            path = source.relative_to(data_dir.root)
            files[path.as_posix()] = found = copy_file(source, copy.root / path)
            if sha256 is not None and found.sha256 != sha256:
                raise DataLossError(
                    f"{path} has digest {found.sha256}, so the backup would be damaged; run fsck",
                    found=found.sha256,
                )
        files[copy.database.name] = _measured(copy.database)
    write_manifest(copy.root, files, create_time=clock())
    return _copied(files)


def restore(folder: Path, root: Path) -> Copied:
    """Makes a data directory from a backup.

    Raises:
        DataDirectoryError: the folder is no whole backup, or the target is not empty.
        DataLossError: a file of the backup is missing or damaged.
    """
    files = read_manifest(folder)
    _make_empty(root)
    data_dir = DataDir(root.resolve())
    with alone(data_dir):
        write_durably(data_dir.unfinished_restore, b"")
        for path, expected in files.items():
            target = data_dir.root / path
            _restore_file(folder / path, target, expected)
            if target == data_dir.key:
                target.chmod(0o600)
            elif target.is_relative_to(data_dir.blobs):
                target.chmod(0o444)
        data_dir.unfinished_restore.unlink()
        sync_folder(data_dir.root)
    return _copied(files)


def _restore_file(source: Path, target: Path, expected: StoredFile) -> None:
    if not source.is_file():
        raise DataLossError(
            f"{source} of the backup is missing; use another backup",
            reason="STORED_BYTES_MISSING",
        )
    found = copy_file(source, target)
    if found != expected:
        raise DataLossError(
            f"{source} has digest {found.sha256}, expected {expected.sha256}; use another backup",
            found=found.sha256,
        )


def _needed(data_dir: DataDir, database: Path) -> Iterator[tuple[Path, str | None]]:
    """Yields the files that the rows of a database need, with the digests that they must have."""
    blobs = BlobStore(data_dir.blobs)
    with reading(database) as tx:
        digests, active = references(tx), jobs.states(tx)
    for sha256 in sorted(digests):
        path = blobs.path(sha256)
        if not path.is_file():
            raise DataLossError(
                f"the stored file with digest {sha256} is missing, so the backup would not be "
                "whole; run fsck",
                reason="STORED_BYTES_MISSING",
                sha256=sha256,
            )
        yield path, sha256
    for job_id in sorted(active):
        checkpoint = data_dir.jobs / job_id / CHECKPOINT_NAME
        if checkpoint.is_file():
            yield checkpoint, None
    if data_dir.key.is_file():
        yield data_dir.key, None


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        original.execute("PRAGMA busy_timeout = 5000")
        original.backup(copy)
        # A single file, whose digest can be taken.
        copy.execute("PRAGMA journal_mode = DELETE")
    sync_folder(target.parent)


def _measured(path: Path) -> StoredFile:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return StoredFile(path.stat().st_size, file_sha256(path))


def _copied(files: Mapping[str, StoredFile]) -> Copied:
    return Copied(len(files), sum(file.size_bytes for file in files.values()))


def _make_empty(folder: Path) -> None:
    """Makes a folder, which must not hold anything yet.

    Raises:
        DataDirectoryError: it does.
    """
    make_folders(folder.resolve())
    if any(folder.iterdir()):
        raise DataDirectoryError(
            f"{folder} is not empty; name a new folder", reason="FOLDER_NOT_EMPTY"
        )
