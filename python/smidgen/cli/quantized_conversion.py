"""Makes an artifact of a model that was quantized elsewhere, without a server. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType

from smidgen.artifact import save_artifact
from smidgen.cli.documents import Json
from smidgen.cli.views import facts, report_view
from smidgen.conversion import Conversion
from smidgen.quantized_import import import_quantized


def convert_quantized_file(model: Path, out: Path) -> tuple[Json, RenderableType]:
    """Reads a quantized ONNX model, proves its program on this machine and writes the artifact.

    Raises: SmidgenError, OSError.
    """
    return write_conversion(import_quantized(model), out)


def write_conversion(conversion: Conversion, out: Path) -> tuple[Json, RenderableType]:
    """Writes the artifact of a conversion and returns what to tell of it.

    Raises: OSError.
    """
    digest = save_artifact(conversion.program, out)
    document: Json = {
        "path": str(out),
        "sha256": digest,
        "size_bytes": out.stat().st_size,
        "report": conversion.report.to_dict(),
    }
    view = Group(facts([("File", out), ("SHA-256", digest)]), report_view(conversion.report))
    return document, view
