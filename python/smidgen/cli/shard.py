"""`smidgen shard`: Parquet files of images as shards of WebDataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smidgen.cli.documents import Json
from smidgen.cli.options import AsJson
from smidgen.cli.output import emit
from smidgen.cli.views import facts
from smidgen.data.parquet import write_shard


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("shard")(shard)


def shard(
    parquet: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Parquet file.")],
    out: Annotated[Path, typer.Argument(dir_okay=False, help="Where to put the `.tar` file.")],
    *,
    image_column: Annotated[
        str | None,
        typer.Option(help="Column of JPEG or PNG files. Default: the only one with bytes."),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="Column of class numbers. Default: `label`, if there is one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Rewrite a Parquet file of images as a shard of WebDataset, on this machine.

    Works without a server and needs the package pyarrow (`smidgen[parquet]`).
    """
    count = write_shard(parquet, out, image_column=image_column, label_column=label_column)
    document: Json = {"path": str(out), "sample_count": count, "size_bytes": out.stat().st_size}
    emit(document, facts([("File", out), ("Samples", count)]), as_json=as_json)
