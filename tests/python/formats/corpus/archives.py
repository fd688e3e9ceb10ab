"""Hostile zip archives, each with one thing wrong."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

from smidgen.formats.zip_archive import ZipReason as R
from tests.python.formats.zip_writer import Entry, deflated, write_zip

A, B = Entry(b"m/a", b"alpha"), Entry(b"m/b", b"beta" * 9)
DESCRIPTOR = 1 << 3
DEFERRED = replace(
    A, flags=A.flags | DESCRIPTOR, local={"crc": 0, "packed": 0, "size": 0}, data=b"alpha"
)


def with_descriptor(layout: str, *fields: int | bytes) -> bytes:
    """Returns an archive of one entry with a descriptor after its data."""
    plain = write_zip([DEFERRED])
    split = 30 + len(A.name) + len(A.data)
    central = plain[split:-22]
    descriptor = struct.pack(layout, *fields)
    start = split + len(descriptor)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central), start, 0)
    return plain[:split] + descriptor + central + end


CRC = zlib.crc32(A.data)
LOCAL_B = write_zip([B])[: 30 + len(B.name) + len(B.data)]
MISMATCH = R.LOCAL_HEADER_MISMATCH
LINK, FOLDER = 0o120777 << 16, 0x10


def _deflated(data: bytes, stated: int, packed: bytes | None = None) -> bytes:
    """Returns an archive of one compressed entry that states a size."""
    entry, squeezed = deflated(b"m/a", data)
    entry = replace(entry, local={"size": stated}, central={"size": stated})
    return write_zip([entry], packed={entry.name: packed or squeezed})


DEFLATED: dict[str, tuple[bytes, str]] = {
    "bomb": (_deflated(b"\0" * 9_000_000, 9_000_000), R.TOO_LARGE),
    "bomb that states a small size": (_deflated(b"\0" * 9_000_000, 10), R.BAD_SIZE),
    "less than stated": (_deflated(b"\0" * 1000, 1001), R.BAD_SIZE),
    "damaged stream": (_deflated(b"\0" * 100, 100, packed=b"\xff\xff"), R.BAD_DEFLATE),
}

ARCHIVES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", R.NO_END_RECORD),
    "not an archive": (b"x" * 100, R.NO_END_RECORD),
    "trailing bytes": (write_zip([A], suffix=b"x"), R.NO_END_RECORD),
    "comment": (write_zip([A], end={"comment": 1}, suffix=b"x"), R.NO_END_RECORD),
    "stated comment": (write_zip([A], end={"comment": 1}), R.NO_END_RECORD),
    "prepended bytes": (write_zip([A], prefix=b"#!/bin/sh"), R.PREPENDED_BYTES),
    "second disk": (write_zip([A], end={"disk": 1}), R.MULTI_DISK),
    "directory on another disk": (write_zip([A], end={"central_disk": 1}), R.MULTI_DISK),
    "entry on another disk": (write_zip([replace(A, central={"disk": 1})]), R.MULTI_DISK),
    "fewer on this disk": (write_zip([A, B], end={"here": 1}), R.MULTI_DISK),
    "too few stated": (write_zip([A, B], end={"here": 1, "total": 1}), R.ENTRY_COUNT),
    "too many stated": (write_zip([A], end={"here": 2, "total": 2}), R.ENTRY_COUNT),
    "directory too early": (write_zip([A], end={"offset": 3}), R.BAD_CENTRAL_DIRECTORY),
    "directory too long": (write_zip([A], end={"size": 9999}), R.BAD_CENTRAL_DIRECTORY),
    "entry comment": (
        write_zip([replace(A, central={"comment": b"c"})]),
        R.BAD_CENTRAL_DIRECTORY,
    ),
    "zip64 record elsewhere": (write_zip([A], zip64={"place": 0}), R.BAD_ZIP64),
    "zip64 on two disks": (write_zip([A], zip64={"disks": 2}), R.MULTI_DISK),
    "zip64 contradicts": (write_zip([A, B], zip64={"total": 1}), R.BAD_ZIP64),
    "zip64 sizes missing": (
        write_zip([replace(A, central={"size": 0xFFFFFFFF})]),
        R.BAD_ZIP64,
    ),
    "encrypted": (write_zip([replace(A, flags=1)]), R.ENCRYPTED),
    "patched": (write_zip([replace(A, flags=1 << 5)]), R.UNSUPPORTED_FLAGS),
    "masked headers": (write_zip([replace(A, flags=1 << 13)]), R.UNSUPPORTED_FLAGS),
    "method 8": (write_zip([replace(A, method=8)]), R.COMPRESSED),
    "method 99": (write_zip([replace(A, method=99)]), R.COMPRESSED),
    "stored of two sizes": (write_zip([replace(A, central={"size": 4})]), R.BAD_SIZE),
    "duplicate": (write_zip([A, A]), R.DUPLICATE_NAME),
    "overlap": (
        write_zip([A, replace(B, central={"offset": 0, "name": b"m/c"})]),
        MISMATCH,
    ),
    "shared data": (
        write_zip(
            [replace(A, central={"name": b"m/a"}), replace(A, name=b"m/z", central={"offset": 0})]
        ),
        MISMATCH,
    ),
    "local name differs": (write_zip([replace(A, local={"name": b"m/x"})]), MISMATCH),
    "local size differs": (write_zip([replace(A, local={"size": 4})]), MISMATCH),
    "local crc differs": (write_zip([replace(A, local={"crc": 1})]), MISMATCH),
    "local method differs": (write_zip([replace(A, local={"method": 8})]), MISMATCH),
    "local flags differ": (write_zip([replace(A, local={"flags": 0})]), MISMATCH),
    "no local header": (b"XX" + write_zip([A])[2:], MISMATCH),
    "nested entries": (
        write_zip([replace(A, data=LOCAL_B), replace(B, central={"offset": 33})]),
        R.OVERLAPPING_ENTRIES,
    ),
    "beyond the file": (write_zip([replace(A, central={"offset": 1 << 30})]), R.OUT_OF_BOUNDS),
    "data beyond the file": (
        write_zip([replace(A, central={"size": 1 << 30, "packed": 1 << 30})]),
        R.OUT_OF_BOUNDS,
    ),
    "gap": (
        write_zip([replace(A, central={"size": 3, "packed": 3}, local={"size": 3, "packed": 3})]),
        R.GAP,
    ),
    "descriptor missing": (with_descriptor("<L", 7), R.GAP),
    "descriptor differs": (with_descriptor("<3L", 1, 5, 5), MISMATCH),
    "character device": (write_zip([replace(A, attributes=0o020666 << 16)]), R.NOT_A_FILE),
    "zip64 sizes beyond the file": (
        write_zip(
            [
                replace(
                    A,
                    central_extra=struct.pack("<2H2Q", 1, 16, 1 << 60, 1 << 60),
                    central={"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF},
                )
            ]
        ),
        R.OUT_OF_BOUNDS,
    ),
    "zip64 offset beyond the file": (
        write_zip(
            [
                replace(
                    A,
                    central_extra=struct.pack("<2HQ", 1, 8, 1 << 62),
                    central={"offset": 0xFFFFFFFF},
                )
            ]
        ),
        R.OUT_OF_BOUNDS,
    ),
    "second end record": (write_zip([A]) + write_zip([A])[-22:], R.BAD_CENTRAL_DIRECTORY),
    "damaged data": (write_zip([replace(A, local={"crc": 1}, central={"crc": 1})]), R.BAD_CRC),
    "file size over the cap": (write_zip([Entry(b"m/a", b"x" * 9999)]), R.TOO_LARGE),
    "more entries than the cap": (
        write_zip([Entry(b"m/%d" % index, b"") for index in range(9)]),
        R.TOO_MANY_ENTRIES,
    ),
    "symlink": (write_zip([replace(A, attributes=LINK)]), R.NOT_A_FILE),
    "folder": (write_zip([replace(A, attributes=FOLDER)]), R.NOT_A_FILE),
    "second name": (
        write_zip([replace(A, central_extra=struct.pack("<2HB", 0x7075, 1, 1))]),
        R.BAD_NAME,
    ),
    "cut-off extra": (write_zip([replace(A, central_extra=b"FB")]), R.BAD_EXTRA_FIELD),
    "overlong extra": (
        write_zip([replace(A, extra=struct.pack("<2H", 1, 99))]),
        R.BAD_EXTRA_FIELD,
    ),
} | {
    f"name {name!r}": (write_zip([replace(A, name=name)]), R.BAD_NAME)
    for name in (
        b"",
        b"/a",
        b"../a",
        b"m/../a",
        b"m//a",
        b"m/./a",
        b"m/",
        b"a\\b",
        b"C:a",
        b"a\0b",
        b"a\nb",
        b"\xff\xfe",
        b"a" * 513,
        b"a\xe2\x80\xaeb",
    )
}
