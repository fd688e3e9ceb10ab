"""A strict reader of zip archives over a memory-mapped file.

The central directory is the one truth: every local header, data descriptor and byte of the file
must agree with it, so that no two parsers can see different archives in the same bytes. Entries are
stored (method 0); reading one is a view of the mapped file. Format: PKWARE APPNOTE 6.3.10.
"""

from __future__ import annotations

import mmap
import stat
import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from smidgen.errors import InvalidModelError, SmidgenError
from smidgen.formats.mapped_pages import PART_BYTES, drop_pages
from smidgen.regular_file import open_regular

_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _DESCRIPTOR, _DEFLATE_LEVEL, _UTF8 = 1, 1 << 3, 0b110, 1 << 11
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_DESCRIPTORS = {12: ("<3L", False), 16: ("<4s3L", True), 20: ("<L2Q", False), 24: ("<4sL2Q", True)}
_MAX16, _MAX32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075


class ZipReason(StrEnum):
    """Why an archive is refused."""

    BAD_CENTRAL_DIRECTORY = "ZIP_BAD_CENTRAL_DIRECTORY"
    BAD_CRC = "ZIP_BAD_CRC"
    BAD_DEFLATE = "ZIP_BAD_DEFLATE"
    BAD_EXTRA_FIELD = "ZIP_BAD_EXTRA_FIELD"
    BAD_NAME = "ZIP_BAD_NAME"
    BAD_SIZE = "ZIP_BAD_SIZE"
    BAD_ZIP64 = "ZIP_BAD_ZIP64"
    COMPRESSED = "ZIP_COMPRESSED"
    DUPLICATE_NAME = "ZIP_DUPLICATE_NAME"
    ENCRYPTED = "ZIP_ENCRYPTED"
    ENTRY_COUNT = "ZIP_ENTRY_COUNT"
    GAP = "ZIP_GAP"
    LOCAL_HEADER_MISMATCH = "ZIP_LOCAL_HEADER_MISMATCH"
    MULTI_DISK = "ZIP_MULTI_DISK"
    NOT_A_FILE = "ZIP_NOT_A_FILE"
    NO_END_RECORD = "ZIP_NO_END_RECORD"
    OUT_OF_BOUNDS = "ZIP_OUT_OF_BOUNDS"
    OVERLAPPING_ENTRIES = "ZIP_OVERLAPPING_ENTRIES"
    PREPENDED_BYTES = "ZIP_PREPENDED_BYTES"
    TOO_LARGE = "ZIP_TOO_LARGE"
    TOO_MANY_ENTRIES = "ZIP_TOO_MANY_ENTRIES"
    UNSUPPORTED_FLAGS = "ZIP_UNSUPPORTED_FLAGS"


def _crc32(data: memoryview) -> int:
    """Returns the CRC-32 without keeping all of a large entry in memory."""
    crc = 0
    for start in range(0, len(data), PART_BYTES):
        part = data[start : start + PART_BYTES]
        crc = zlib.crc32(part, crc)
        if len(data) > PART_BYTES:
            drop_pages(np.frombuffer(part, np.uint8))
    return crc


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """Caps on what an archive may hold, checked before anything is allocated.

    Attributes:
        file_bytes: Size of the file.
        entries: Number of entries. torch writes one for each weight and about ten others, and a
            large published model has 2,000 weights; each takes about ten microseconds to check.
        name_bytes: Length of one entry's name.
        inflated_bytes: Sum of the declared sizes of all deflated entries.
    """

    file_bytes: int = 2 << 30
    entries: int = 16_384
    name_bytes: int = 512
    inflated_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class ZipPlace:
    """Where an entry's bytes are in the file.

    Attributes:
        offset: First byte.
        packed_size: Bytes there.
        size: Bytes of the entry itself.
        crc: CRC-32 of the entry itself.
        is_deflated: Whether it is compressed.
    """

    offset: int
    packed_size: int
    size: int
    crc: int
    is_deflated: bool


class _Entry(NamedTuple):
    """What the directory says of one entry. A tuple, for a file has many thousands of them."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    data_start: int = 0

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def data_end(self) -> int:
        return self.data_start + self.compressed_size


class ZipArchive:
    """One archive, checked as a whole when it is constructed.

    Args:
        path: The file. It must not change while the archive or a view of it is in use.
        limits: Caps.
        allow_deflate: Whether entries may be compressed with DEFLATE.
        allow_folders: Whether there may be entries of folders, which are left out of `names`.
        error: The error class to raise, with a reason that starts with ZIP_.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: ZipLimits | None = None,
        allow_deflate: bool = False,
        allow_folders: bool = False,
        error: type[SmidgenError] = InvalidModelError,
    ) -> None:
        self._limits = limits or ZipLimits()
        self._allow_deflate = allow_deflate
        self._allow_folders = allow_folders
        self._error = error
        self._data = self._map(path)
        central_start, central_end, count = self._find_central_directory()
        entries = self._read_central_directory(central_start, central_end, count)
        self._entries = self._check_local_headers(entries, central_start)

    @property
    def names(self) -> tuple[str, ...]:
        """The entries' names in the order of the central directory."""
        return tuple(entry.name for entry in self._entries.values() if not entry.is_folder)

    @property
    def data(self) -> memoryview:
        """All bytes of the file, read-only."""
        return self._data

    def size(self, name: str) -> int:
        """Returns the uncompressed size of an entry in bytes."""
        return self._entries[name].size

    def place(self, name: str) -> ZipPlace:
        """Returns where an entry's bytes are."""
        entry = self._entries[name]
        return ZipPlace(
            offset=entry.data_start,
            packed_size=entry.compressed_size,
            size=entry.size,
            crc=entry.crc,
            is_deflated=entry.method == _DEFLATED,
        )

    def read(self, name: str) -> memoryview:
        """Returns an entry's bytes after checking their CRC-32; a view if the entry is stored."""
        entry = self._entries[name]
        data = self._data[entry.data_start : entry.data_end]
        if entry.method == _DEFLATED:
            data = memoryview(self._inflate(entry, data))
        if _crc32(data) != entry.crc:
            self._fail(ZipReason.BAD_CRC, f"entry {name!r} is damaged: its CRC-32 does not match")
        return data

    def _fail(self, reason: ZipReason, found: str) -> NoReturn:
        message = f"The file is not an acceptable zip archive: {found}. Write the file again."
        raise self._error(message, reason=reason.value)

    def _map(self, path: Path) -> memoryview:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            if size < _END.size:
                self._fail(ZipReason.NO_END_RECORD, f"it has {size} bytes, too few for an archive")
            if size > self._limits.file_bytes:
                self._fail(
                    ZipReason.TOO_LARGE,
                    f"it has {size} bytes, more than the {self._limits.file_bytes} allowed",
                )
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _find_central_directory(self) -> tuple[int, int, int]:
        end_start = len(self._data) - _END.size
        end = _END.unpack_from(self._data, end_start)
        signature, disk, central_disk, here, total, size, offset, comment = end
        if signature != b"PK\x05\x06" or comment:
            self._fail(
                ZipReason.NO_END_RECORD,
                "it does not end with an end-of-central-directory record without a comment",
            )
        if disk or central_disk or here != total:
            self._fail(ZipReason.MULTI_DISK, "it is split over several disks")
        end_of_central = end_start
        locator_start = end_start - _END64_LOCATOR.size
        if (
            locator_start >= 0
            and bytes(self._data[locator_start : locator_start + 4]) == b"PK\x06\x07"
        ):
            stated = (total, size, offset)
            end_of_central, total, size, offset = self._read_zip64_end(locator_start, stated)
        if offset + size != end_of_central:
            self._fail(
                ZipReason.BAD_CENTRAL_DIRECTORY,
                f"its central directory is stated at {offset} with {size} bytes, "
                f"but its end record is at {end_of_central}",
            )
        if total > self._limits.entries:
            self._fail(
                ZipReason.TOO_MANY_ENTRIES,
                f"it has {total} entries, more than the {self._limits.entries} allowed",
            )
        return offset, end_of_central, total

    def _read_zip64_end(
        self, locator_start: int, stated: tuple[int, int, int]
    ) -> tuple[int, int, int, int]:
        _, disk, start, disks = _END64_LOCATOR.unpack_from(self._data, locator_start)
        if disk or disks != 1:
            self._fail(ZipReason.MULTI_DISK, "it is split over several disks")
        if start + _END64.size != locator_start:
            self._fail(ZipReason.BAD_ZIP64, "its zip64 end record is not in its place")
        record = _END64.unpack_from(self._data, start)
        signature, length, _, _, disk, central_disk, here, total, size, offset = record
        if signature != b"PK\x06\x06" or length != _END64.size - 12:
            self._fail(ZipReason.BAD_ZIP64, "its zip64 end record is malformed")
        if disk or central_disk or here != total:
            self._fail(ZipReason.MULTI_DISK, "it is split over several disks")
        pairs = zip(stated, (total, size, offset), (_MAX16, _MAX32, _MAX32), strict=True)
        if any(short not in (long, sentinel) for short, long, sentinel in pairs):
            self._fail(ZipReason.BAD_ZIP64, "its two end records contradict each other")
        return start, total, size, offset

    def _read_central_directory(self, start: int, end: int, count: int) -> list[_Entry]:
        entries: list[_Entry] = []
        names: set[str] = set()
        position = start
        while position < end:
            entry, position = self._read_central_header(position, end)
            if entry.name in names:
                self._fail(ZipReason.DUPLICATE_NAME, f"entry {entry.name!r} occurs twice")
            names.add(entry.name)
            entries.append(entry)
            if len(entries) > count:
                break
        if len(entries) != count:
            self._fail(
                ZipReason.ENTRY_COUNT,
                f"it states {count} entries, but its central directory has {len(entries)} or more",
            )
        inflated = sum(entry.size for entry in entries if entry.method == _DEFLATED)
        if inflated > self._limits.inflated_bytes:
            self._fail(
                ZipReason.TOO_LARGE,
                f"its compressed entries hold {inflated} bytes, "
                f"more than the {self._limits.inflated_bytes} allowed",
            )
        return entries

    def _read_central_header(self, position: int, end: int) -> tuple[_Entry, int]:
        if position + _CENTRAL.size > end:
            self._fail(ZipReason.BAD_CENTRAL_DIRECTORY, "its central directory is cut off")
        header = _CENTRAL.unpack_from(self._data, position)
        signature, _, _, flags, method, _, _, crc, packed, size = header[:10]
        name_length, extra_length, comment_length, disk, _, attributes, offset = header[10:]
        name_start = position + _CENTRAL.size
        extra_start = name_start + name_length
        following = extra_start + extra_length + comment_length
        if signature != b"PK\x01\x02" or following > end or comment_length:
            self._fail(ZipReason.BAD_CENTRAL_DIRECTORY, "its central directory is malformed")
        raw_name = bytes(self._data[name_start:extra_start])
        name = self._check_name(raw_name)
        extra = self._data[extra_start : extra_start + extra_length]
        size, packed, offset, disk = self._widen(name, extra, (size, packed, offset, disk))
        if disk:
            self._fail(ZipReason.MULTI_DISK, f"entry {name!r} is on another disk")
        entry = _Entry(name, raw_name, flags, method, crc, packed, size, offset)
        self._check_kind(entry, attributes)
        return entry, following

    def _check_name(self, raw: bytes) -> str:
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            self._fail(ZipReason.BAD_NAME, f"an entry's name is not UTF-8: {raw[:64]!r}")
        path = name.removesuffix("/") if self._allow_folders else name
        parts = path.split("/")
        if (
            not raw
            or len(raw) > self._limits.name_bytes
            or not name.isprintable()
            or "\\" in name
            or ":" in name
            or any(part in ("", ".", "..") for part in parts)
        ):
            self._fail(
                ZipReason.BAD_NAME,
                f"an entry has the name {name[:64]!r}, which is not a plain relative path",
            )
        return name

    def _check_kind(self, entry: _Entry, attributes: int) -> None:
        if entry.flags & _ENCRYPTED:
            self._fail(ZipReason.ENCRYPTED, f"entry {entry.name!r} is encrypted")
        compressed = entry.method == _DEFLATED and self._allow_deflate
        allowed = _DESCRIPTOR | _UTF8 | (_DEFLATE_LEVEL if compressed else 0)
        if entry.flags & ~allowed:
            self._fail(
                ZipReason.UNSUPPORTED_FLAGS, f"entry {entry.name!r} has flags {entry.flags:#06x}"
            )
        if entry.method != _STORED and not compressed:
            self._fail(
                ZipReason.COMPRESSED,
                f"entry {entry.name!r} uses method {entry.method}; "
                + ("stored or deflated" if self._allow_deflate else "stored")
                + " entries are expected",
            )
        if entry.method == _STORED and entry.size != entry.compressed_size:
            self._fail(
                ZipReason.BAD_SIZE, f"stored entry {entry.name!r} states two different sizes"
            )
        file_type = stat.S_IFMT(attributes >> 16)
        if entry.is_folder:
            if file_type not in (0, stat.S_IFDIR) or entry.size or entry.compressed_size:
                self._fail(ZipReason.NOT_A_FILE, f"entry {entry.name!r} is not an empty folder")
        elif file_type not in (0, stat.S_IFREG) or attributes & 0x10:
            self._fail(ZipReason.NOT_A_FILE, f"entry {entry.name!r} is not a regular file")

    def _widen(
        self, name: str, extra: memoryview, short: tuple[int, int, int, int]
    ) -> tuple[int, int, int, int]:
        """Replaces saturated (size, packed size, offset, disk) by those of the zip64 field."""
        fields = self._extra_fields(name, extra) if extra else {}
        sentinels = (_MAX32, _MAX32, _MAX32, _MAX16)
        if _UNICODE_PATH_FIELD in fields:
            self._fail(ZipReason.BAD_NAME, f"entry {name!r} has a second name")
        if _MAX32 not in short[:3] and short[3] != _MAX16:
            return short
        saturated = [a == b for a, b in zip(short, sentinels, strict=True)]
        layout = "<" + "".join(c for c, wide in zip("QQQL", saturated, strict=True) if wide)
        field = fields.get(_ZIP64_FIELD, memoryview(b""))
        if len(field) != struct.calcsize(layout):
            self._fail(
                ZipReason.BAD_ZIP64, f"entry {name!r} lacks the zip64 sizes that it refers to"
            )
        wide_values = iter(struct.unpack(layout, field))
        size, packed, offset, disk = (
            int(next(wide_values)) if wide else value
            for value, wide in zip(short, saturated, strict=True)
        )
        return size, packed, offset, disk

    def _extra_fields(self, name: str, extra: memoryview) -> dict[int, memoryview]:
        fields: dict[int, memoryview] = {}
        position = 0
        while position < len(extra):
            if position + 4 > len(extra):
                self._fail(ZipReason.BAD_EXTRA_FIELD, f"entry {name!r} has a cut-off extra field")
            identifier, length = struct.unpack_from("<2H", extra, position)
            value = extra[position + 4 : position + 4 + length]
            if len(value) != length or identifier in fields:
                self._fail(ZipReason.BAD_EXTRA_FIELD, f"entry {name!r} has a malformed extra field")
            fields[identifier] = value
            position += 4 + length
        return fields

    def _check_local_headers(self, entries: list[_Entry], central_start: int) -> dict[str, _Entry]:
        """Checks that entries are as the directory says and tile the file without a gap."""
        ordered = sorted(entries, key=lambda entry: entry.offset)
        located = {entry.name: self._locate(entry, central_start) for entry in ordered}
        if (ordered[0].offset if ordered else central_start) != 0:
            self._fail(ZipReason.PREPENDED_BYTES, "there are bytes before its first entry")
        starts = [entry.offset for entry in ordered] + [central_start]
        for entry, (_, following) in zip(ordered, pairwise(starts), strict=True):
            self._check_end(located[entry.name], following)
        return {entry.name: located[entry.name] for entry in entries}

    def _locate(self, entry: _Entry, central_start: int) -> _Entry:
        if entry.offset + _LOCAL.size > central_start:
            self._fail(ZipReason.OUT_OF_BOUNDS, f"entry {entry.name!r} lies outside the file")
        header = _LOCAL.unpack_from(self._data, entry.offset)
        signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = header
        name_start = entry.offset + _LOCAL.size
        extra_start = name_start + name_length
        data_start = extra_start + extra_length
        if data_start + entry.compressed_size > central_start:
            self._fail(ZipReason.OUT_OF_BOUNDS, f"entry {entry.name!r} lies outside the file")
        extra = self._data[extra_start:data_start]
        size, packed, _, _ = self._widen(entry.name, extra, (size, packed, 0, 0))
        found = (flags, method, self._data[name_start:extra_start] == entry.raw_name)
        sizes = zip(
            (crc, packed, size), (entry.crc, entry.compressed_size, entry.size), strict=True
        )
        deferred = (0,) if flags & _DESCRIPTOR else ()
        if (
            signature != b"PK\x03\x04"
            or found != (entry.flags, entry.method, True)
            or any(local not in (central, *deferred) for local, central in sizes)
        ):
            self._fail(
                ZipReason.LOCAL_HEADER_MISMATCH,
                f"entry {entry.name!r} has a local header that contradicts the central directory",
            )
        return entry._replace(data_start=data_start)

    def _check_end(self, entry: _Entry, following: int) -> None:
        gap = following - entry.data_end
        if gap < 0:
            self._fail(ZipReason.OVERLAPPING_ENTRIES, f"entry {entry.name!r} overlaps the next one")
        if not entry.flags & _DESCRIPTOR:
            if gap:
                self._fail(ZipReason.GAP, f"there are {gap} bytes after entry {entry.name!r}")
            return
        if gap not in _DESCRIPTORS:
            self._fail(ZipReason.GAP, f"there are {gap} bytes after entry {entry.name!r}")
        layout, signed = _DESCRIPTORS[gap]
        found = struct.unpack_from(layout, self._data, entry.data_end)
        expected = (entry.crc, entry.compressed_size, entry.size)
        if found != ((b"PK\x07\x08", *expected) if signed else expected):
            self._fail(
                ZipReason.LOCAL_HEADER_MISMATCH,
                f"entry {entry.name!r} has a descriptor that contradicts the central directory",
            )

    def _inflate(self, entry: _Entry, data: memoryview) -> bytes:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte more than declared tells an entry that is too long from one that fits.
            inflated = stream.decompress(data, entry.size + 1)
        except zlib.error:
            self._fail(ZipReason.BAD_DEFLATE, f"entry {entry.name!r} cannot be decompressed")
        if len(inflated) != entry.size or not stream.eof or stream.unused_data:
            self._fail(ZipReason.BAD_SIZE, f"entry {entry.name!r} does not have its stated size")
        return inflated
