"""`smidgen export`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated

import typer

from smidgen.artifact import load_artifact
from smidgen.cli.documents import Json
from smidgen.cli.options import AsJson
from smidgen.cli.output import emit
from smidgen.cli.usage import check_folder
from smidgen.cli.views import facts, size
from smidgen.durable_file import write_durably
from smidgen.extras import require_onnx
from smidgen.formats.model_file import ModelFormat, guess_format, read_model
from smidgen.regular_file import open_regular


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export")(export)


def export(
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File to export.")],
    *,
    onnx: Annotated[Path, typer.Option(dir_okay=False, help="Where to put the ONNX model.")],
    fused_sums: Annotated[
        bool,
        typer.Option(
            "--fused-sums",
            help="Write sums as runtimes fuse them; rarely a byte is then off by one.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model for other runtimes, without a server and without torch.

    Of an artifact this is the integer model, as float operators between QuantizeLinear and
    DequantizeLinear; of a `.pt2` or `.onnx` file the float model. The file names in its metadata
    what it was made of.
    """
    check_folder(onnx)
    require_onnx()
    kind, data = _exported(path, fused_sums=fused_sums)
    write_durably(onnx, data)
    digest = hashlib.sha256(data).hexdigest()
    document: Json = {
        "path": str(onnx),
        "kind": kind,
        "size_bytes": len(data),
        "sha256": digest,
    }
    pairs = [("File", onnx), ("Kind", kind), ("Size", size(len(data))), ("SHA-256", digest)]
    emit(document, facts(pairs), as_json=as_json)


def _exported(path: Path, *, fused_sums: bool) -> tuple[str, bytes]:
    """Returns the kind and the bytes of the ONNX model."""
    from smidgen.formats.onnx_export import (  # noqa: PLC0415  (an extra)
        Sums,
        export_float_onnx,
        export_onnx,
    )

    model_format = guess_format(path)
    if model_format is ModelFormat.ARTIFACT:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        program = load_artifact(path)
        sums = Sums.FUSED if fused_sums else Sums.EXACT
        made = export_onnx(program, artifact_sha256=digest, sums=sums)
        return "qdq", made.SerializeToString()
    return "float", export_float_onnx(read_model(path, model_format)).SerializeToString()
