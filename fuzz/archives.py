"""Zip archives of stored entries, as torch.export writes them."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path


def read_entries(path: Path) -> dict[str, bytes]:
    """Returns the entries of an archive by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_archive(entries: Mapping[str, bytes]) -> bytes:
    """Returns an archive of stored entries."""
    body, central = bytearray(), bytearray()
    for name, data in entries.items():
        raw = name.encode("utf-8", "surrogateescape")
        sizes = (zlib.crc32(data), len(data), len(data), len(raw))
        central += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, *sizes, 0, 0, 0, 0, 0, len(body)
        )
        central += raw
        body += struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, *sizes, 0) + raw + data
    count = len(entries)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(central), len(body), 0)
    return bytes(body + central + end)
