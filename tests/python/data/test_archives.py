"""Shards and image folders: what is read, and what is refused for which reason."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from smidgen.data.image_header import ImageReason
from smidgen.data.image_zip import read_image_zip
from smidgen.data.limits import ImageLimits
from smidgen.data.tar_archive import TarReason as R
from smidgen.data.tar_archive import read_members
from smidgen.data.web_dataset import read_web_dataset
from smidgen.errors import InvalidDatasetError
from tests.python.data.image_files import encode, pictures, png, write_tar, write_zip
from tests.python.open_files import count_open_files

PIXELS = pictures(1)[0]
IMAGE = encode(PIXELS)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_tar_of_every_dialect_is_read(tmp_path: Path, form: int) -> None:
    path = tmp_path / "a.tar"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").write_bytes(IMAGE)
    with tarfile.open(path, "w", format=form) as archive:
        archive.add(tmp_path / "in", "./in")
    with path.open("rb") as file:
        (member,) = read_members(file)
    assert (member.name, member.size) == ("in/x.png", len(IMAGE))
    assert path.read_bytes()[member.offset : member.offset + member.size] == IMAGE


def test_long_names_of_pax_are_read(tmp_path: Path) -> None:
    name = "ä" * 70 + "/" + "b" * 120 + ".png"
    with write_tar(tmp_path / "a.tar", {name: IMAGE}).open("rb") as file:
        (member,) = read_members(file)
    assert member.name == name


def test_refused_shard_is_closed_while_its_refusal_is_kept(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.cls": b"3", "b.png": IMAGE})
    before = count_open_files()
    with pytest.raises(InvalidDatasetError, match="no image") as kept:
        read_web_dataset(path)
    assert count_open_files() == before
    assert kept.tb is not None  # whose frames hold the half-read iterators


def test_classes_come_from_texts_and_objects(tmp_path: Path) -> None:
    members = {
        "a.jpg": encode(PIXELS, "JPEG"), "a.cls": b"3\n",
        "b.json": b'{"label": 4, "who": [1]}', "b.PNG": IMAGE,
        "c/a.jpeg": IMAGE, "c/a.cls": b"0", "c/a.json": b'{"label": 0}',
    }  # fmt: skip
    images = read_web_dataset(write_tar(tmp_path / "a.tar", members))
    assert images.labels is not None
    assert images.labels.tolist() == [3, 4, 0]
    np.testing.assert_array_equal(images.picture(1, 3), PIXELS)
    images.check_headers()


def _tar(**changes: object) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("a.png")
        info.size = len(IMAGE)
        for name, value in changes.items():
            setattr(info, name, value)
        archive.addfile(info, io.BytesIO(IMAGE))
    return file.getvalue()


def _patched(offset: int, data: bytes, *, is_sealed: bool = True) -> bytes:
    found = bytearray(_tar())
    found[offset : offset + len(data)] = data
    if is_sealed:
        found[148:156] = b" " * 8
        found[148:156] = b"%06o\0 " % sum(found[:512])
    return bytes(found)


def _pax(records: bytes) -> bytes:
    header = bytearray(_tar()[:512])
    header[156:157] = b"x"
    header[124:136] = b"%011o\0" % len(records)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + records + bytes(-len(records) % 512) + _tar()


GOOD = _tar()
END = 512 + -(-len(IMAGE) // 512) * 512
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", R.TRUNCATED),
    "no tar": (b"x" * 2048, R.BAD_HEADER),
    "no end": (GOOD[:END], R.TRUNCATED),
    "one block of end": (GOOD[: END + 512], R.TRAILING_BYTES),
    "cut off in a file": (GOOD[:600], R.TRUNCATED),
    "bytes behind the end": (GOOD + b"x" * 512, R.TRAILING_BYTES),
    "two megabytes of zeros": (GOOD + bytes(2 << 20), R.TRAILING_BYTES),
    "a second archive": (GOOD + GOOD, R.TRAILING_BYTES),
    "bytes in the padding": (GOOD[: END - 1] + b"x" + GOOD[END:], R.TRAILING_BYTES),
    "damaged": (_patched(110, b"9", is_sealed=False), R.BAD_CHECKSUM),
    "a huge size": (_patched(124, b"77777777777\0"), R.TRUNCATED),
    "a size of base 256": (_patched(124, b"\x80" + bytes(11)), R.BAD_HEADER),
    "a negative size": (_patched(124, b"-0000000001\0"), R.BAD_HEADER),
    "an empty size": (_patched(124, bytes(12)), R.BAD_HEADER),
    "a symbolic link": (_tar(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0), R.NOT_A_FILE),
    "a hard link": (_tar(type=tarfile.LNKTYPE, linkname="a.png", size=0), R.NOT_A_FILE),
    "a device": (_tar(type=tarfile.CHRTYPE, size=0), R.NOT_A_FILE),
    "a pipe": (_tar(type=tarfile.FIFOTYPE, size=0), R.NOT_A_FILE),
    "a sparse file": (_tar(type=tarfile.GNUTYPE_SPARSE), R.NOT_A_FILE),
    "a long name of GNU": (_tar(type=tarfile.GNUTYPE_LONGNAME), R.NOT_A_FILE),
    "a global header": (_tar(type=tarfile.XGLTYPE), R.NOT_A_FILE),
    "a file with a link": (_patched(157, b"/etc/passwd"), R.NOT_A_FILE),
    "a name outside": (_tar(name="../a.png"), R.BAD_NAME),
    "an absolute name": (_tar(name="/a.png"), R.BAD_NAME),
    "no name": (_patched(0, bytes(100)), R.BAD_NAME),
    "a name that is no text": (_patched(0, b"\xff\xfe.png"), R.BAD_NAME),
    "a name with a colon": (_tar(name="c:a.png"), R.BAD_NAME),
    "two extended headers": (_pax(b"")[:512] + _pax(b"")[:512] + GOOD, R.NOT_A_FILE),
    "an extended header of no file": (_pax(b"")[:512] + bytes(1024), R.BAD_EXTENDED_HEADER),
    "an extended size": (_pax(b"12 size=100\n"), R.BAD_EXTENDED_HEADER),
    "an extended link": (_pax(b"14 linkpath=a\n"), R.BAD_EXTENDED_HEADER),
    "two extended names": (_pax(b"9 path=a\n9 path=b\n"), R.BAD_EXTENDED_HEADER),
    "an extended header of another length": (_pax(b"99 path=a\n"), R.BAD_EXTENDED_HEADER),
    "an extended header without an end": (_pax(b"8 path=a"), R.BAD_EXTENDED_HEADER),
    "a long extended header": (_pax(b"x" * (1 << 17)), R.BAD_EXTENDED_HEADER),
    "an extended name outside": (_pax(b"12 path=../a\n"), R.BAD_EXTENDED_HEADER),
    "an extended name elsewhere": (_pax(b"13 path=../a\n"), R.BAD_NAME),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_is_refused(name: str, tmp_path: Path) -> None:
    data, reason = HOSTILE[name]
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(InvalidDatasetError) as caught:
        read_web_dataset(path)
    assert caught.value.reason == reason, caught.value.message
    assert caught.value.message.isprintable()


def test_limits_of_tars_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(GOOD)
    for limits, reason in (
        (ImageLimits(file_bytes=100), R.TOO_LARGE),
        (ImageLimits(members=0), R.TOO_MANY_MEMBERS),
        (ImageLimits(encoded_bytes=10), ImageReason.TOO_LARGE),
    ):
        with pytest.raises(InvalidDatasetError) as caught:
            read_web_dataset(path, limits=limits)
        assert caught.value.reason == reason


def test_every_reason_of_tars_has_a_file() -> None:
    others = {R.TOO_LARGE, R.TOO_MANY_MEMBERS}
    assert {reason for _, reason in HOSTILE.values()} | others == set(R)


BAD_SHARDS = {
    "no image": ({"a.cls": b"1"}, "DATASET_BAD_SAMPLE"),
    "two images": ({"a.png": IMAGE, "a.jpg": IMAGE}, "DATASET_UNEXPECTED_FILE"),
    "two classes": (
        {"a.png": IMAGE, "a.cls": b"1", "a.json": b'{"label": 2}'},
        "DATASET_BAD_SAMPLE",
    ),
    "files apart": ({"a.png": IMAGE, "b.png": IMAGE, "a.cls": b"1"}, "DATASET_BAD_SAMPLE"),
    "a name twice": ({"a.png": IMAGE, "b.png": IMAGE, "a.jpg": IMAGE}, "DATASET_DUPLICATE_SAMPLE"),
    "a class for some": (
        {"a.png": IMAGE, "a.cls": b"1", "b.png": IMAGE},
        "DATASET_LABELS_INCOMPLETE",
    ),
    "a pickle": ({"a.png": IMAGE, "a.pyd": b"cos\nsystem\n."}, "DATASET_UNEXPECTED_FILE"),
    "a negative class": ({"a.png": IMAGE, "a.cls": b"-1"}, "DATASET_BAD_LABEL"),
    "a large class": ({"a.png": IMAGE, "a.cls": b"9999999999"}, "DATASET_BAD_LABEL"),
    "a long class": ({"a.png": IMAGE, "a.cls": b"1" * 100}, "DATASET_BAD_LABEL"),
    "a list": ({"a.png": IMAGE, "a.json": b"[1]"}, "DATASET_BAD_LABEL"),
    "a word": ({"a.png": IMAGE, "a.json": b'{"label": "cat"}'}, "DATASET_BAD_LABEL"),
    "a truth value": ({"a.png": IMAGE, "a.json": b'{"label": true}'}, "DATASET_BAD_LABEL"),
    "no json": ({"a.png": IMAGE, "a.json": b"{"}, "JSON_MALFORMED"),
    "deep json": ({"a.png": IMAGE, "a.json": b"[" * 5000}, "JSON_TOO_DEEP"),
    "large json": ({"a.png": IMAGE, "a.json": bytes(1 << 17)}, "DATASET_BAD_LABEL"),
    "nothing": ({}, "DATASET_EMPTY"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SHARDS)
def test_bad_shard_is_refused(name: str, tmp_path: Path) -> None:
    members, reason = BAD_SHARDS[name]
    with pytest.raises(InvalidDatasetError) as caught:
        read_web_dataset(write_tar(tmp_path / "a.tar", members))
    assert caught.value.reason == reason


BAD_FOLDERS = {
    "a class for some": ({"a/1.png": IMAGE, "2.png": IMAGE}, "DATASET_LABELS_INCOMPLETE"),
    "a text": ({"a/1.png": IMAGE, "a/read.me": b"hello"}, "DATASET_UNEXPECTED_FILE"),
    "an archive": ({"a/1.png": IMAGE, "a/2.zip": b"PK"}, "DATASET_UNEXPECTED_FILE"),
    "nothing": ({"a/": b""}, "DATASET_EMPTY"),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_folders_are_refused(name: str, tmp_path: Path) -> None:
    members, reason = BAD_FOLDERS[name]
    with pytest.raises(InvalidDatasetError) as caught:
        read_image_zip(write_zip(tmp_path / "a.zip", members))
    assert caught.value.reason == reason


def test_folders_with_bytes_or_other_names_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a/": b"", "a/1.png": IMAGE})
    for old, new, reason in ((b"a/", b"//", "ZIP_BAD_NAME"), (b"a/", b"a\\", "ZIP_BAD_NAME")):
        damaged = tmp_path / "b.zip"
        damaged.write_bytes(path.read_bytes().replace(old, new))
        with pytest.raises(InvalidDatasetError) as caught:
            read_image_zip(damaged)
        assert caught.value.reason == reason


def test_compressed_images_are_checked_when_they_are_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a/1.png": IMAGE}, zipfile.ZIP_DEFLATED)
    images = read_image_zip(path)
    images.check_headers()
    data = bytearray(path.read_bytes())
    start = 30 + len("a/1.png")
    data[start + 100] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InvalidDatasetError) as caught:
        images.picture(0, 3)
    assert caught.value.reason in ("ZIP_BAD_CRC", "ZIP_BAD_DEFLATE", "ZIP_BAD_SIZE")


def test_a_bomb_among_folders_is_not_inflated(tmp_path: Path) -> None:
    bomb = png(4, 4, body=b"") + bytes(31 << 20)
    path = write_zip(
        tmp_path / "a.zip", {f"a/{n}.png": bomb for n in range(3)}, zipfile.ZIP_DEFLATED
    )
    read_image_zip(path).check_headers()  # 93 MB, of which three kilobytes are looked at
    larger = write_zip(tmp_path / "b.zip", {"a/1.png": bytes(33 << 20)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(InvalidDatasetError) as caught:
        read_image_zip(larger)
    assert caught.value.reason == ImageReason.TOO_LARGE


def test_headers_are_checked_without_decoding(tmp_path: Path) -> None:
    for data, reason in (
        (png(65535, 65535), "IMAGE_TOO_LARGE"),
        (b"GIF89a", "IMAGE_UNKNOWN_FORMAT"),
    ):
        images = read_web_dataset(write_tar(tmp_path / "a.tar", {"a.png": IMAGE, "b.png": data}))
        with pytest.raises(InvalidDatasetError) as caught:
            images.check_headers()
        assert caught.value.reason == reason
        assert "Image 1" in caught.value.message


@pytest.mark.parametrize("read", [read_web_dataset, read_image_zip])
def test_random_archives_end_in_images_or_a_refusal(
    read: Callable[[Path], object], tmp_path: Path
) -> None:
    members = {"a/1.png": IMAGE, "a/2.png": IMAGE, "b/3.png": IMAGE}
    path = tmp_path / "seed"
    (write_tar if read is read_web_dataset else write_zip)(path, members)
    seed, random_of = path.read_bytes(), random.Random(1)
    for _ in range(400):
        data = bytearray(seed)
        for _ in range(random_of.randint(1, 5)):
            at = random_of.randrange(len(data))
            data[at : at + random_of.randint(0, 3)] = random_of.randbytes(random_of.randint(0, 3))
        path.write_bytes(data)
        with suppress(InvalidDatasetError):
            found = read(path)
            found.check_headers()  # type: ignore[attr-defined]
            found.picture(0, 3)  # type: ignore[attr-defined]
