"""Writes images and archives of them."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def pictures(count: int, height: int = 9, width: int = 12) -> Pixels:
    """Returns images [count, height, width, 3] of random pixels."""
    return np.random.default_rng(7).integers(0, 256, (count, height, width, 3), np.uint8)


def encode(pixels: Pixels, kind: str = "PNG") -> bytes:
    """Returns an image file of pixels [H, W, 3] or [H, W]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def png(height: int, width: int, *, depth: int = 8, color: int = 2, body: bytes = b"") -> bytes:
    """Returns a PNG that states a size, whatever its body holds."""
    header = struct.pack(">2L5B", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )


def chunk(kind: bytes, data: bytes) -> bytes:
    """Returns a chunk of a PNG."""
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def write_tar(path: Path, members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    """Writes a tar archive of files."""
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write_shard(path: Path, images: Pixels, labels: NDArray[np.int64] | None) -> Path:
    """Writes a shard of PNG images, with classes if there are labels."""
    members: dict[str, bytes] = {}
    for number, pixels in enumerate(images):
        members[f"{number:05d}.png"] = encode(pixels)
        if labels is not None:
            members[f"{number:05d}.cls"] = str(labels[number]).encode()
    return write_tar(path, members)


def write_zip(path: Path, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """Writes a zip archive; names that end in a slash are folders."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            if name.endswith("/"):
                archive.mkdir(name.removesuffix("/"))
            else:
                archive.writestr(name, data)
    return path
