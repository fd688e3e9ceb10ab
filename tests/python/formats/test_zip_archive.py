"""Only archives that every parser reads alike are accepted."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.errors import InvalidDatasetError, InvalidModelError
from smidgen.formats.zip_archive import ZipArchive, ZipLimits
from tests.python.formats.corpus.archives import CRC, A, B, with_descriptor
from tests.python.formats.zip_writer import deflated, write_zip


def _open(tmp_path: Path, data: bytes, **options: object) -> ZipArchive:
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    return ZipArchive(path, **options)  # type: ignore[arg-type]


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
    archive = _open(tmp_path, with_descriptor(layout, *fields))
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
