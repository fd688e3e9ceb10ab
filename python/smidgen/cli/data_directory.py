"""`smidgen fsck`, `backup` and `restore`: what is done to a server's data directory."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from smidgen.cli.documents import Json
from smidgen.cli.exits import ExitCode, UsageError
from smidgen.cli.options import AsJson
from smidgen.cli.output import emit
from smidgen.cli.views import facts

DataDir = Annotated[
    Path, typer.Option("--data-dir", file_okay=False, help="Directory of the server.")
]
DEFAULT_DATA_DIR = Path("smidgen-data")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("fsck")(fsck)
    app.command("backup")(backup)
    app.command("restore")(restore)


def fsck(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    *,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Move damaged and stray files to `quarantine/`."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check everything that a server has stored: files, rows and what they refer to.

    Works beside a running server, `--repair` only without. Exits with 1 if anything is damaged or
    missing. Nothing is ever deleted.
    """
    _require_server()
    # The library does without the service, the command does not.
    from smidgen_service.maintenance import fsck as maintenance  # noqa: PLC0415

    report = (maintenance.repair if repair else maintenance.check)(data_dir)
    lines = [
        f"{finding.problem}: {finding.subject}: {finding.detail}"
        + (f"; needed by {', '.join(finding.needed_by)}" if finding.needed_by else "")
        + (f"; moved to {finding.quarantined_to}" if finding.quarantined_to else "")
        for finding in report.findings
    ]
    checked = (
        f"{report.row_count} rows, {report.blob_count} files ({report.blob_bytes} bytes), "
        f"{report.checkpoint_count} checkpoints: {'sound' if report.is_sound else 'damaged'}"
    )
    emit(report.to_document(), "\n".join([*lines, checked]), as_json=as_json)
    if not report.is_sound:
        raise typer.Exit(ExitCode.REFUSED)


def backup(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A new folder.")],
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Copy all that a server has stored into a folder. The server may go on meanwhile."""
    _require_server()
    from smidgen_service.maintenance.backup import back_up  # noqa: PLC0415  # see above

    copied = back_up(data_dir, folder)
    document: Json = {"file_count": copied.file_count, "total_bytes": copied.total_bytes}
    view = facts([("Files", copied.file_count), ("Bytes", copied.total_bytes)])
    emit(document, view, as_json=as_json)


def restore(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="The folder of a backup.")],
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make a data directory from a backup. It must not hold anything yet."""
    _require_server()
    from smidgen_service.maintenance import backup as maintenance  # noqa: PLC0415  # see above

    copied = maintenance.restore(folder, data_dir)
    document: Json = {"file_count": copied.file_count, "total_bytes": copied.total_bytes}
    view = facts([("Files", copied.file_count), ("Bytes", copied.total_bytes)])
    emit(document, view, as_json=as_json)


def _require_server() -> None:
    if importlib.util.find_spec("smidgen_service") is None:
        raise UsageError(
            "The server is not installed here, only the library; install the whole package",
            reason="SERVER_NOT_INSTALLED",
        )
