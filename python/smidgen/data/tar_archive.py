"""A strict reader of tar archives, one header at a time.

Regular files alone: no links, devices, sparse files or long names in GNU's way, no names that lead
elsewhere, no byte that is not accounted for. Formats: POSIX.1-2017 pax and ustar.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from smidgen.data.limits import DEFAULT_LIMITS, ImageLimits
from smidgen.errors import InvalidDatasetError

_BLOCK = 512
_MOST_NAME_BYTES = 512
_MOST_EXTENDED_BYTES = 1 << 16
_MOST_TAIL_BYTES = 1 << 20
_MAGICS = (b"ustar\x0000", b"ustar  \x00")
_NUMBER = re.compile(rb" *([0-7]{1,12})[ \0]*\Z")
_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([A-Za-z]{1,32})=")
_IGNORED = (b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname")
_FILES, _FOLDER, _EXTENDED = (b"0", b"\0"), b"5", b"x"


class TarReason(enum.StrEnum):
    """Why an archive is refused."""

    BAD_CHECKSUM = "TAR_BAD_CHECKSUM"
    BAD_EXTENDED_HEADER = "TAR_BAD_EXTENDED_HEADER"
    BAD_HEADER = "TAR_BAD_HEADER"
    BAD_NAME = "TAR_BAD_NAME"
    NOT_A_FILE = "TAR_NOT_A_FILE"
    TOO_LARGE = "TAR_TOO_LARGE"
    TOO_MANY_MEMBERS = "TAR_TOO_MANY_MEMBERS"
    TRAILING_BYTES = "TAR_TRAILING_BYTES"
    TRUNCATED = "TAR_TRUNCATED"


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file in an archive: its name and where its bytes are."""

    name: str
    offset: int
    size: int


def read_members(file: BinaryIO, *, limits: ImageLimits = DEFAULT_LIMITS) -> Iterator[TarMember]:
    """Yields the members of an archive that are files, in order, holding none of them in memory.

    The caller closes the file: an iterator that is given up half-way would leave that to chance.

    Args:
        file: Open at any place; reading elsewhere in it between the members does no harm.
        limits: Of the archive.

    Raises:
        InvalidDatasetError: With a TarReason.
        OSError: The file cannot be read.
    """
    return _Reader(file, limits).members()


def _refuse(reason: TarReason, found: str) -> NoReturn:
    raise InvalidDatasetError(
        f"The file is not an acceptable tar archive: {found}. Write it again, with plain files.",
        reason=reason.value,
    )


class _Reader:
    """Walks over one archive."""

    def __init__(self, file: BinaryIO, limits: ImageLimits) -> None:
        self._file = file
        self._limits = limits
        self._size = file.seek(0, os.SEEK_END)
        if self._size > limits.file_bytes:
            _refuse(
                TarReason.TOO_LARGE,
                f"it has {self._size} bytes, more than the {limits.file_bytes} allowed",
            )

    def members(self) -> Iterator[TarMember]:
        position, count, extended = 0, 0, None
        has_extended = False
        while (header := self._read(position, _BLOCK)) != bytes(_BLOCK):
            count += 1
            if count > self._limits.members:
                _refuse(
                    TarReason.TOO_MANY_MEMBERS,
                    f"it has more than the {self._limits.members} members allowed",
                )
            size = self._check(header, position)
            start, kind = position + _BLOCK, header[156:157]
            position = self._end(start, size)
            if kind == _EXTENDED and not has_extended:
                extended, has_extended = _extended_name(self._extended(start, size)), True
                continue
            name = extended or _name(header)
            extended, has_extended = None, False
            if kind == _FOLDER and size == 0:
                _check_name(name.removesuffix(b"/"))
            elif kind in _FILES:
                yield TarMember(_check_name(name), start, size)
            else:
                _refuse(TarReason.NOT_A_FILE, f"it has a member of type {kind!r}")
        if has_extended:
            _refuse(TarReason.BAD_EXTENDED_HEADER, "its last header belongs to no file")
        self._check_tail(position)

    def _read(self, position: int, length: int) -> bytes:
        if position + length > self._size:
            _refuse(TarReason.TRUNCATED, "it ends before its end marker, or within a file")
        self._file.seek(position)
        return self._file.read(length)

    def _check(self, header: bytes, position: int) -> int:
        """Checks a header and returns the size of what follows it."""
        if header[257:265] not in _MAGICS:
            _refuse(TarReason.BAD_HEADER, f"there is no ustar header at byte {position}")
        stated = _number(header[148:156])
        if sum(header) - sum(header[148:156]) + 8 * 0x20 != stated:
            _refuse(TarReason.BAD_CHECKSUM, f"the header at byte {position} is damaged")
        if header[157:257].strip(b"\0"):
            _refuse(TarReason.NOT_A_FILE, "it has a member that links to another file")
        return _number(header[124:136])

    def _end(self, start: int, size: int) -> int:
        """Returns where the next header is; what fills the last block must be zeros."""
        padding = -size % _BLOCK
        if self._read(start + size, padding).strip(b"\0"):
            _refuse(TarReason.TRAILING_BYTES, "there are bytes behind the end of a file in it")
        return start + size + padding

    def _extended(self, start: int, size: int) -> bytes:
        if size > _MOST_EXTENDED_BYTES:
            _refuse(TarReason.BAD_EXTENDED_HEADER, f"an extended header has {size} bytes")
        return self._read(start, size)

    def _check_tail(self, position: int) -> None:
        rest = self._size - position
        if rest < 2 * _BLOCK or rest > _MOST_TAIL_BYTES or rest % _BLOCK:
            _refuse(TarReason.TRAILING_BYTES, f"its end marker has {rest} bytes")
        if self._read(position, rest).strip(b"\0"):
            _refuse(TarReason.TRAILING_BYTES, "there are bytes behind its end marker")


def _number(field: bytes) -> int:
    found = _NUMBER.match(field)
    if found is None:
        _refuse(TarReason.BAD_HEADER, f"a header has the number {field!r}, expected octal digits")
    return int(found[1], 8)


def _name(header: bytes) -> bytes:
    name = header[:100].rstrip(b"\0")
    # GNU's headers have times where those of POSIX have the first part of a long name.
    prefix = header[345:500].rstrip(b"\0") if header[257:265] == _MAGICS[0] else b""
    return prefix + b"/" + name if prefix else name


def _check_name(raw: bytes) -> str:
    raw = raw.removeprefix(b"./")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse(TarReason.BAD_NAME, f"a member's name is not UTF-8: {raw[:64]!r}")
    if (
        len(raw) > _MOST_NAME_BYTES
        or not name.isprintable()
        or "\\" in name
        or ":" in name
        or (raw != b"." and any(part in ("", ".", "..") for part in name.split("/")))
    ):
        _refuse(
            TarReason.BAD_NAME,
            f"a member has the name {name[:64]!r}, which is not a plain relative path",
        )
    return name


def _extended_name(data: bytes) -> bytes | None:
    """Returns the name that an extended header gives, if it does; refuses what changes more."""
    name: bytes | None = None
    position = 0
    while position < len(data):
        record = _RECORD.match(data, position)
        end = position + int(record[1]) if record else 0
        if record is None or end > len(data) or end <= record.end() or data[end - 1 : end] != b"\n":
            _refuse(TarReason.BAD_EXTENDED_HEADER, "an extended header is malformed")
        key, value = record[2], data[record.end() : end - 1]
        if key == b"path" and name is None and value:
            name = value
        elif key not in _IGNORED:
            _refuse(
                TarReason.BAD_EXTENDED_HEADER,
                f"an extended header has the entry {key.decode()!r}, which is not supported",
            )
        position = end
    return name
