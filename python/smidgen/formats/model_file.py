"""Model files of every format: which one a file has, and how a float model is read from it."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

from smidgen.errors import InvalidModelError
from smidgen.extras import require_onnx
from smidgen.formats.limits import DEFAULT_LIMITS, Limits
from smidgen.regular_file import open_regular

if TYPE_CHECKING:
    from smidgen.graph.exported import ExportedModel


class ModelFormat(enum.StrEnum):
    """File format of a model."""

    PT2 = "pt2"
    ARTIFACT = "artifact"
    ONNX = "onnx"
    QUANTIZED_ONNX = "quantized_onnx"


FLOAT_FORMATS = frozenset({ModelFormat.PT2, ModelFormat.ONNX})
"""The formats of models that can be calibrated, trained and converted."""

SUFFIXES = {
    ".pt2": ModelFormat.PT2,
    ".onnx": ModelFormat.ONNX,
    ".smidgen": ModelFormat.ARTIFACT,
}
"""How the names of model files end."""

QUANTIZED_REASON = "ONNX_QUANTIZED_MODEL"
"""Why the reader of float models refuses an ONNX file that states its own quantization."""

_ZIP_MAGIC = b"PK\x03\x04"
# A ModelProto begins with the tag of a field: a number (field << 3) or bytes (field << 3 | 2).
_ONNX_STARTS = frozenset({1 << 3, 5 << 3, *(number << 3 | 2 for number in (2, 3, 4, 6, 7, 8, 14))})


def format_by_content(path: Path) -> ModelFormat | None:
    """Tells a model file's format by its first bytes; None if they are of no known one.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    with open_regular(path) as file:
        start = file.read(9)
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return ModelFormat.ARTIFACT
    return format_by_start(start)


def format_by_start(start: bytes) -> ModelFormat | None:
    """Tells a float model's format by its first bytes; None if they are of no known one."""
    if start.startswith(_ZIP_MAGIC):
        return ModelFormat.PT2
    return ModelFormat.ONNX if start and start[0] in _ONNX_STARTS else None


def guess_format(path: Path) -> ModelFormat:
    """Tells a model file's format by how its name ends and by what is in it.

    A name that says nothing leaves it to the content, content that says nothing to the name.

    Raises:
        InvalidModelError: MODEL_FORMAT_UNKNOWN, neither says anything; MODEL_FORMAT_MISMATCH, they
            say different things.
        OSError: The file cannot be read.
    """
    named, found = SUFFIXES.get(path.suffix.lower()), format_by_content(path)
    if named is not None and found is not None and named is not found:
        raise InvalidModelError(
            f"{path} ends in {path.suffix} and holds a model of the format {found}; rename the "
            "file, or pass its format",
            reason="MODEL_FORMAT_MISMATCH",
            path=str(path),
            found=found.value,
            expected=named.value,
        )
    guessed = named or found
    if guessed is None:
        raise InvalidModelError(
            f"{path} ends in {path.suffix or 'no extension'}, expected {' or '.join(SUFFIXES)}; "
            "write it with torch.export.save or as ONNX, or pass the format of a file with another "
            "name",
            reason="MODEL_FORMAT_UNKNOWN",
            path=str(path),
        )
    return guessed


def read_model(
    path: Path, model_format: ModelFormat | None = None, *, limits: Limits = DEFAULT_LIMITS
) -> ExportedModel:
    """Reads a float model, `.pt2` or ONNX; nothing in the file is executed.

    Args:
        path: The file, which must not change while the model is in use.
        model_format: Its format; None looks at its first bytes.
        limits: Caps on what it may hold.

    Raises:
        InvalidModelError: The file is malformed, or of another format.
        UnsupportedOperatorError: It has operators that are not supported; names all.
        MissingExtraError: It is ONNX, and the package onnx is not installed.
    """
    found = model_format or format_by_content(path)
    if found is ModelFormat.PT2:
        # A server names formats and reads no models itself: that would be a tenth of its start.
        from smidgen.formats.pt2 import read_pt2  # noqa: PLC0415 - see above

        return read_pt2(path, limits=limits)
    if found is ModelFormat.ONNX:
        require_onnx()
        from smidgen.formats.onnx_import import read_onnx  # noqa: PLC0415  (an extra)

        return read_onnx(path, limits=limits)
    if found is ModelFormat.ARTIFACT:
        raise InvalidModelError(
            "The file is a finished artifact and has no float weights; give the .pt2 or .onnx file "
            "that it was made of",
            reason="MODEL_HAS_NO_FLOAT_WEIGHTS",
        )
    raise InvalidModelError(
        "The file is neither a .pt2 archive nor ONNX; write it with torch.export.save or "
        "torch.onnx.export",
        reason="MODEL_FORMAT_UNKNOWN",
    )
