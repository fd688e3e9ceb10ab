"""The one table of all hostile files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from smidgen.formats.limits import Limits
from smidgen.formats.onnx_import import read_onnx, read_quantized_onnx
from smidgen.formats.pt2 import read_pt2
from smidgen.formats.strict_json import parse_json
from smidgen.formats.zip_archive import ZipArchive, ZipLimits
from tests.python.formats.corpus.archives import ARCHIVES, DEFLATED
from tests.python.formats.corpus.onnx_models import ONNX_MODELS, QUANTIZED_MODELS
from tests.python.formats.corpus.pt2_bombs import PT2_BOMBS
from tests.python.formats.corpus.pt2_models import PT2_MODELS, good_file
from tests.python.formats.corpus.texts import TEXTS
from tests.python.formats.pt2_files import Pt2File


@dataclass(frozen=True)
class HostileFile:
    """A file that a reader must refuse.

    Attributes:
        reason: For which it must be refused.
        write: Writes the file.
        read: The reader.
    """

    reason: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def _read_archive(path: Path, *, allow_deflate: bool) -> None:
    limits = ZipLimits(file_bytes=9_999, entries=8, inflated_bytes=8_000_000)
    archive = ZipArchive(path, allow_deflate=allow_deflate, limits=limits)
    for name in archive.names:
        archive.read(name)


def _read_onnx(path: Path) -> None:
    read_onnx(path, limits=Limits(nodes=8_000, fields=50_000))


def _read_text(path: Path) -> None:
    parse_json(path.read_bytes(), label="the text")


def _write_bytes(data: bytes | Callable[[], bytes], path: Path) -> None:
    path.write_bytes(data if isinstance(data, bytes) else data())


def _write_pt2(make: Callable[[], Pt2File], path: Path) -> None:
    make().write(path)


def _bytes_table(
    table: Mapping[str, tuple[bytes | Callable[[], bytes], str]], read: Callable[[Path], object]
) -> dict[str, HostileFile]:
    return {
        name: HostileFile(reason, partial(_write_bytes, data), read)
        for name, (data, reason) in table.items()
    }


_TABLES: Mapping[str, Mapping[str, HostileFile]] = {
    "zip": _bytes_table(ARCHIVES, partial(_read_archive, allow_deflate=False)),
    "deflated": _bytes_table(DEFLATED, partial(_read_archive, allow_deflate=True)),
    "json": _bytes_table(TEXTS, _read_text),
    "pt2": {
        name: HostileFile(
            reason, partial(_write_pt2, lambda change=change: change(good_file())), read_pt2
        )
        for name, (change, reason) in PT2_MODELS.items()
    },
    "pt2 bomb": {
        name: HostileFile(reason, partial(_write_pt2, make), read_pt2)
        for name, (make, reason) in PT2_BOMBS.items()
    },
    "onnx": _bytes_table(ONNX_MODELS, _read_onnx),
    "quantized onnx": _bytes_table(QUANTIZED_MODELS, read_quantized_onnx),
}

HOSTILE_FILES: Mapping[str, HostileFile] = {
    f"{kind}: {name}": file for kind, table in _TABLES.items() for name, file in table.items()
}
