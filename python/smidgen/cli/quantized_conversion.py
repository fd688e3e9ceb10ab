"""Makes an artifact of a model that was quantized elsewhere, without a server. Needs no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Group, RenderableType

from smidgen.artifact import save_artifact
from smidgen.cli.documents import Json
from smidgen.cli.pages import write_page
from smidgen.cli.views import facts, report_view
from smidgen.conversion import Conversion
from smidgen.conversion_document import conversion_document
from smidgen.html_report import ReportDocument
from smidgen.quantized_import import import_quantized


def convert_quantized_file(
    model: Path, out: Path, page: Path | None
) -> tuple[Json, RenderableType]:
    """Reads a quantized ONNX model, proves its program on this machine and writes the artifact.

    Args:
        model: The file.
        out: Where the artifact goes.
        page: Where the report goes as a page; None writes none.

    Raises: SmidgenError, OSError.
    """
    conversion = import_quantized(model)
    document = conversion_document(str(model), conversion.report)
    return write_conversion(conversion, out, document=document, page=page)


def write_conversion(
    conversion: Conversion, out: Path, *, document: ReportDocument, page: Path | None
) -> tuple[Json, RenderableType]:
    """Writes the artifact of a conversion, and returns what to tell of it.

    Args:
        conversion: The program and its report.
        out: Where the artifact goes.
        document: The report as a page has it.
        page: Where the page goes; None writes none.

    Raises: OSError.
    """
    digest = save_artifact(conversion.program, out)
    told: dict[str, Json] = {
        "path": str(out),
        "sha256": digest,
        "size_bytes": out.stat().st_size,
        "report": conversion.report.to_dict(),
    }
    shown: list[tuple[str, object]] = [("File", out), ("SHA-256", digest)]
    if page is not None:
        origin = (("Artifact", str(out)), ("SHA-256", digest))
        size_bytes = write_page(page, replace(document, facts=origin))
        told["report_page"] = {"path": str(page), "size_bytes": size_bytes}
        shown.append(("Report", page))
    return told, Group(facts(shown), report_view(conversion.report))
