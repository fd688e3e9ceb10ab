"""Copies of files with their digests, on the disk before they have their names."""

from __future__ import annotations

import hashlib
from pathlib import Path

from smidgen.durable_file import replacing_file, sync_folder
from smidgen_service.maintenance.manifest import StoredFile

_CHUNK_BYTES = 1 << 20


def copy_file(source: Path, target: Path) -> StoredFile:
    """Copies a file and returns what was read.

    Raises:
        OSError: it cannot be read or written.
    """
    digest, size = hashlib.sha256(), 0
    make_folders(target.parent)
    with source.open("rb") as file, replacing_file(target) as copy:
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
            size += len(data)
            copy.write(data)
    return StoredFile(size, digest.hexdigest())


def make_folders(folder: Path) -> None:
    """Makes a folder and those above it, all on the disk."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)
