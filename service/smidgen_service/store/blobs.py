"""Files by digest: written once, durable before anything refers to them, verified when read."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smidgen.durable_file import sync_folder
from smidgen_service.errors import DataLossError
from smidgen_service.store.watching import UNWATCHED, StoreOp, StoreWatch

_CHUNK_BYTES = 1 << 20


class BlobStore:
    """The directory `sha256/ab/cdef…`.

    A blob is deleted only when no row refers to it and no call has it pinned. Pin a digest before
    its file is stored and until the row that refers to it is committed.
    """

    def __init__(self, root: Path, watch: StoreWatch = UNWATCHED) -> None:
        self._root = root
        self._watch = watch
        self._lock = threading.Lock()
        self._pins: Counter[str] = Counter()
        (root / "sha256").mkdir(parents=True, exist_ok=True)
        for folder in (root, root.parent):
            sync_folder(folder)

    def path(self, sha256: str) -> Path:
        """Returns where a blob is, or would be."""
        return self._root / "sha256" / sha256[:2] / sha256[2:]

    @contextmanager
    def pinned(self, *digests: str) -> Iterator[None]:
        """Keeps blobs from being deleted."""
        with self._lock:
            self._pins.update(digests)
        try:
            yield
        finally:
            with self._lock:
                self._pins.subtract(digests)
                for sha256 in set(digests):
                    if not self._pins[sha256]:
                        del self._pins[sha256]

    def adopt(self, source: Path, sha256: str) -> Path:
        """Moves a complete file into the store and returns after it is on disk.

        A blob that is there already stays the same file, unless it is damaged.

        Args:
            source: A file on the file system of the store; gone afterwards.
            sha256: Its digest, already checked.
        """
        with self._watch.watching(StoreOp.ADOPT):
            return self._adopt(source, sha256)

    def _adopt(self, source: Path, sha256: str) -> Path:
        target = self.path(sha256)
        if self._is_sound(sha256):
            # Landlock lets workers read files, not names: one that is replaced is closed to those
            # that were told of it and have not opened it yet.
            source.unlink()
        else:
            with source.open("rb") as file:
                os.fsync(file.fileno())
            source.chmod(0o444)
            target.parent.mkdir(exist_ok=True)
            source.rename(target)
        # Both, although the folder is seldom new: whoever made it may have failed to sync it.
        for folder in (target.parent, target.parent.parent):
            sync_folder(folder)
        return target

    def _is_sound(self, sha256: str) -> bool:
        try:
            return file_sha256(self.path(sha256)) == sha256
        except OSError:
            return False

    def verify(self, sha256: str) -> Path:
        """Returns the path of a blob whose bytes have their digest.

        Raises:
            DataLossError: the file is missing or damaged.
        """
        with self._watch.watching(StoreOp.VERIFY):
            return self._verify(sha256)

    def _verify(self, sha256: str) -> Path:
        path = self.path(sha256)
        if not path.is_file():
            raise DataLossError(
                f"the stored file with digest {sha256} is missing; restore it from a backup",
                reason="STORED_BYTES_MISSING",
                sha256=sha256,
            )
        found = file_sha256(path)
        if found != sha256:
            raise DataLossError(
                f"the stored file with digest {sha256} now has digest {found}; "
                "restore it from a backup",
                sha256=sha256,
                found=found,
            )
        return path

    def is_pinned(self, sha256: str) -> bool:
        """Tells whether a call needs a blob that no row may refer to yet."""
        with self._lock:
            return self._pins[sha256] > 0

    def delete(self, sha256: str) -> bool:
        """Deletes a blob unless it is pinned; tells whether it is gone.

        Call it in the thread that writes rows, so that no reference appears meanwhile.
        """
        with self._lock:
            if self._pins[sha256]:
                return False
            self.path(sha256).unlink(missing_ok=True)
            return True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps every process from deleting blobs, as for a backup; waits for one that does."""
        with self._deletion_lock() as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield

    @contextmanager
    def deleting(self) -> Iterator[bool]:
        """Yields whether blobs may be deleted; not while a process keeps them."""
        with self._deletion_lock() as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    @contextmanager
    def _deletion_lock(self) -> Iterator[int]:
        descriptor = os.open(self._root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def digests(self) -> set[str]:
        """Returns the digests of all files in the store."""
        return {
            path.parent.name + path.name
            for path in (self._root / "sha256").glob("*/*")
            if path.is_file()
        }


def file_sha256(path: Path) -> str:
    """Returns the digest of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
