"""Files that end in their own digest, so that damage is found before anything of them is used."""

from __future__ import annotations

import hashlib
from pathlib import Path

from smidgen.durable_file import replacing_file

_MARK = b"smidgen-sha256\0\0"
_SEAL_BYTES = len(_MARK) + hashlib.sha256().digest_size


class BrokenSealError(Exception):
    """A file does not end in the digest of the rest of it."""


def write_sealed(path: Path, data: bytes) -> None:
    """Replaces a file in one step by data and its digest, which are on the disk already.

    Raises:
        OSError: the file cannot be written; what was there before still is.
    """
    with replacing_file(path) as file:
        file.write(data)
        file.write(_MARK + hashlib.sha256(data).digest())


def read_sealed(path: Path) -> bytes:
    """Returns the data that write_sealed was given.

    Raises:
        BrokenSealError: the file was damaged or cut off, or is of another kind.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    data, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if seal != _MARK + hashlib.sha256(data).digest():
        raise BrokenSealError(f"{path.name} does not end in its digest")
    return data
