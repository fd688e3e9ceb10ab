"""Only archives that every parser reads alike are accepted."""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidDatasetError, InvalidModelError
from smidgen.formats.zip_archive import ZipArchive, ZipLimits
from tests.python.formats.zip_writer import Entry, deflated, write_zip

A, B = Entry(b"m/a", b"alpha"), Entry(b"m/b", b"beta" * 9)
DESCRIPTOR = 1 << 3
DEFERRED = replace(
    A, flags=A.flags | DESCRIPTOR, local={"crc": 0, "packed": 0, "size": 0}, data=b"alpha"
)


def _open(tmp_path: Path, data: bytes, **options: object) -> ZipArchive:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    return ZipArchive(path, **options)  # type: ignore[arg-type]


def _with_descriptor(layout: str, *fields: int | bytes) -> bytes:
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
MISMATCH = "ZIP_LOCAL_HEADER_MISMATCH"
LINK, FOLDER = 0o120777 << 16, 0x10

REJECTED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "ZIP_NO_END_RECORD"),
    "not an archive": (b"x" * 100, "ZIP_NO_END_RECORD"),
    "trailing bytes": (write_zip([A], suffix=b"x"), "ZIP_NO_END_RECORD"),
    "comment": (write_zip([A], end={"comment": 1}, suffix=b"x"), "ZIP_NO_END_RECORD"),
    "stated comment": (write_zip([A], end={"comment": 1}), "ZIP_NO_END_RECORD"),
    "prepended bytes": (write_zip([A], prefix=b"#!/bin/sh"), "ZIP_PREPENDED_BYTES"),
    "second disk": (write_zip([A], end={"disk": 1}), "ZIP_MULTI_DISK"),
    "directory on another disk": (write_zip([A], end={"central_disk": 1}), "ZIP_MULTI_DISK"),
    "entry on another disk": (write_zip([replace(A, central={"disk": 1})]), "ZIP_MULTI_DISK"),
    "fewer on this disk": (write_zip([A, B], end={"here": 1}), "ZIP_MULTI_DISK"),
    "too few stated": (write_zip([A, B], end={"here": 1, "total": 1}), "ZIP_ENTRY_COUNT"),
    "too many stated": (write_zip([A], end={"here": 2, "total": 2}), "ZIP_ENTRY_COUNT"),
    "directory too early": (write_zip([A], end={"offset": 3}), "ZIP_BAD_CENTRAL_DIRECTORY"),
    "directory too long": (write_zip([A], end={"size": 9999}), "ZIP_BAD_CENTRAL_DIRECTORY"),
    "entry comment": (
        write_zip([replace(A, central={"comment": b"c"})]),
        "ZIP_BAD_CENTRAL_DIRECTORY",
    ),
    "zip64 record elsewhere": (write_zip([A], zip64={"place": 0}), "ZIP_BAD_ZIP64"),
    "zip64 on two disks": (write_zip([A], zip64={"disks": 2}), "ZIP_MULTI_DISK"),
    "zip64 contradicts": (write_zip([A, B], zip64={"total": 1}), "ZIP_BAD_ZIP64"),
    "zip64 sizes missing": (
        write_zip([replace(A, central={"size": 0xFFFFFFFF})]),
        "ZIP_BAD_ZIP64",
    ),
    "encrypted": (write_zip([replace(A, flags=1)]), "ZIP_ENCRYPTED"),
    "patched": (write_zip([replace(A, flags=1 << 5)]), "ZIP_UNSUPPORTED_FLAGS"),
    "masked headers": (write_zip([replace(A, flags=1 << 13)]), "ZIP_UNSUPPORTED_FLAGS"),
    "method 8": (write_zip([replace(A, method=8)]), "ZIP_COMPRESSED"),
    "method 99": (write_zip([replace(A, method=99)]), "ZIP_COMPRESSED"),
    "stored of two sizes": (write_zip([replace(A, central={"size": 4})]), "ZIP_BAD_SIZE"),
    "duplicate": (write_zip([A, A]), "ZIP_DUPLICATE_NAME"),
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
        "ZIP_OVERLAPPING_ENTRIES",
    ),
    "beyond the file": (write_zip([replace(A, central={"offset": 1 << 30})]), "ZIP_OUT_OF_BOUNDS"),
    "data beyond the file": (
        write_zip([replace(A, central={"size": 1 << 30, "packed": 1 << 30})]),
        "ZIP_OUT_OF_BOUNDS",
    ),
    "gap": (
        write_zip([replace(A, central={"size": 3, "packed": 3}, local={"size": 3, "packed": 3})]),
        "ZIP_GAP",
    ),
    "descriptor missing": (_with_descriptor("<L", 7), "ZIP_GAP"),
    "descriptor differs": (_with_descriptor("<3L", 1, 5, 5), MISMATCH),
    "symlink": (write_zip([replace(A, attributes=LINK)]), "ZIP_NOT_A_FILE"),
    "folder": (write_zip([replace(A, attributes=FOLDER)]), "ZIP_NOT_A_FILE"),
    "second name": (
        write_zip([replace(A, central_extra=struct.pack("<2HB", 0x7075, 1, 1))]),
        "ZIP_BAD_NAME",
    ),
    "cut-off extra": (write_zip([replace(A, central_extra=b"FB")]), "ZIP_BAD_EXTRA_FIELD"),
    "overlong extra": (
        write_zip([replace(A, extra=struct.pack("<2H", 1, 99))]),
        "ZIP_BAD_EXTRA_FIELD",
    ),
} | {
    f"name {name!r}": (write_zip([replace(A, name=name)]), "ZIP_BAD_NAME")
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


@pytest.mark.parametrize("name", REJECTED)
def test_bad_archive_is_refused(name: str, tmp_path: Path) -> None:
    data, reason = REJECTED[name]
    with pytest.raises(InvalidModelError) as refusal:
        _open(tmp_path, data)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("layout", "fields"),
    [
        ("<3L", (CRC, 5, 5)),
        ("<4s3L", (b"PK\7\10", CRC, 5, 5)),
        ("<L2Q", (CRC, 5, 5)),
        ("<4sL2Q", (b"PK\7\10", CRC, 5, 5)),
    ],
)
def test_descriptors_of_all_forms_are_read(
    layout: str, fields: tuple[int | bytes, ...], tmp_path: Path
) -> None:
    archive = _open(tmp_path, _with_descriptor(layout, *fields))
    assert bytes(archive.read("m/a")) == b"alpha"


def test_stored_entries_are_views_of_the_file(tmp_path: Path) -> None:
    archive = _open(tmp_path, write_zip([A, B], zip64={}))
    assert archive.names == ("m/a", "m/b")
    assert archive.size("m/b") == 36
    view = archive.read("m/b")
    assert bytes(view) == B.data
    assert view.readonly
    assert view.obj is archive.data.obj


def test_zip64_sizes_are_read(tmp_path: Path) -> None:
    wide = struct.pack("<2H2Q", 1, 16, 5, 5)
    saturated = {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}
    entry = replace(A, extra=wide, central_extra=wide, local=saturated, central=saturated)
    assert bytes(_open(tmp_path, write_zip([entry])).read("m/a")) == b"alpha"


def test_what_the_standard_library_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("one", b"1" * 1000)
        with file.open("two", "w", force_zip64=True) as two:
            two.write(b"22")
    archive = ZipArchive(path, allow_deflate=True)
    assert bytes(archive.read("one")) == b"1" * 1000
    assert bytes(archive.read("two")) == b"22"


def test_damaged_data_is_refused(tmp_path: Path) -> None:
    data = bytearray(write_zip([A]))
    data[33] ^= 1
    archive = _open(tmp_path, bytes(data))
    with pytest.raises(InvalidModelError) as refusal:
        archive.read("m/a")
    assert refusal.value.reason == "ZIP_BAD_CRC"


@pytest.mark.parametrize(
    ("declared", "packed", "reason"),
    [
        (999_999, None, "ZIP_BAD_SIZE"),
        (1_000_001, None, "ZIP_BAD_SIZE"),
        (1_000_000, b"\xff\xff", "ZIP_BAD_DEFLATE"),
    ],
)
def test_inflation_stops_at_the_declared_size(
    declared: int, packed: bytes | None, reason: str, tmp_path: Path
) -> None:
    entry, squeezed = deflated(b"bomb", b"\0" * 1_000_000)
    sizes = {"size": declared}
    entry = replace(entry, local=sizes, central=sizes)
    data = write_zip([entry], packed={b"bomb": packed or squeezed})
    archive = _open(tmp_path, data, allow_deflate=True, error=InvalidDatasetError)
    with pytest.raises(InvalidDatasetError) as refusal:
        archive.read("bomb")
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ZipLimits(file_bytes=50), "ZIP_TOO_LARGE"),
        (ZipLimits(entries=1), "ZIP_TOO_MANY_ENTRIES"),
        (ZipLimits(name_bytes=2), "ZIP_BAD_NAME"),
    ],
)
def test_limits_hold(limits: ZipLimits, reason: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError) as refusal:
        _open(tmp_path, write_zip([A, B]), limits=limits)
    assert refusal.value.reason == reason


def test_the_sum_of_inflated_sizes_is_limited(tmp_path: Path) -> None:
    entry, squeezed = deflated(b"bomb", b"\0" * 1_000_000)
    data = write_zip([entry], packed={b"bomb": squeezed})
    with pytest.raises(InvalidModelError) as refusal:
        _open(tmp_path, data, allow_deflate=True, limits=ZipLimits(inflated_bytes=999_999))
    assert refusal.value.reason == "ZIP_TOO_LARGE"


GOOD = write_zip([A, B], zip64={})


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4)).map(
            lambda edit: GOOD[: edit[0]] + edit[1] + GOOD[edit[0] + len(edit[1]) :]
        ),
        st.integers(0, len(GOOD)).map(lambda length: GOOD[:length]),
    )
)
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    try:
        archive = _open(tmp_path, data, allow_deflate=True)
        contents = {name: bytes(archive.read(name)) for name in archive.names}
    except InvalidModelError:
        return
    assert sorted(contents.values()) == sorted([A.data, B.data])
