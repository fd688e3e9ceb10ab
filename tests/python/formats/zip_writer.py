"""Writes zip archives byte by byte, with any field wrong on purpose."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Entry:
    """One entry; `local` and `central` override the fields of its two headers."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 1 << 11
    extra: bytes = b""
    central_extra: bytes = b""
    attributes: int = 0
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)


def deflated(name: bytes, data: bytes) -> tuple[Entry, bytes]:
    """Returns an entry of method 8 with its compressed bytes."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return Entry(name, data, method=8), stream.compress(data) + stream.flush()


def write_zip(
    entries: Sequence[Entry],
    *,
    prefix: bytes = b"",
    suffix: bytes = b"",
    end: Mapping[str, int] | None = None,
    zip64: Mapping[str, int] | None = None,
    packed: Mapping[bytes, bytes] | None = None,
) -> bytes:
    """Returns an archive; `end` overrides fields of the end record, `zip64` adds a zip64 one."""
    body = bytearray(prefix)
    central = bytearray()
    for entry in entries:
        data = (packed or {}).get(entry.name, entry.data)
        fields: dict[str, int | bytes] = {
            "name": entry.name, "flags": entry.flags, "method": entry.method,
            "crc": zlib.crc32(entry.data), "packed": len(data), "size": len(entry.data),
            "offset": len(body), "disk": 0, "comment": b"",
        }  # fmt: skip
        low, high = {**fields, **entry.local}, {**fields, **entry.central}
        body += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, low["flags"], low["method"], 0, 0, low["crc"],
            low["packed"], low["size"], len(low["name"]), len(entry.extra),
        )  # fmt: skip
        body += bytes(low["name"]) + entry.extra + data
        central += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 20, 20, high["flags"], high["method"], 0, 0, high["crc"],
            high["packed"], high["size"], len(high["name"]), len(entry.central_extra),
            len(high["comment"]), high["disk"], 0, entry.attributes, high["offset"],
        )  # fmt: skip
        central += bytes(high["name"]) + entry.central_extra + bytes(high["comment"])
    start = len(body)
    numbers = {
        "disk": 0, "central_disk": 0, "here": len(entries), "total": len(entries),
        "size": len(central), "offset": start, "comment": 0,
    } | dict(end or {})  # fmt: skip
    wide = b""
    if zip64 is not None:
        wide_numbers = numbers | {"place": start + len(central), "disks": 1} | dict(zip64)
        wide = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", 44, 30, 45, 0, 0, wide_numbers["total"],
            wide_numbers["total"], wide_numbers["size"], wide_numbers["offset"],
        )  # fmt: skip
        place = (wide_numbers["place"], wide_numbers["disks"])
        wide += struct.pack("<4sLQL", b"PK\6\7", 0, *place)
    record = struct.pack("<4s4H2LH", b"PK\5\6", *numbers.values())
    return bytes(body + central) + wide + record + suffix


def entries_of(files: Mapping[str, bytes]) -> list[Entry]:
    """Returns plain stored entries."""
    return [Entry(name.encode(), data) for name, data in files.items()]


__all__ = ["Entry", "deflated", "entries_of", "replace", "write_zip"]
