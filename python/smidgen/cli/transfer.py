"""`smidgen upload`, `smidgen dataset` and `smidgen download`: files to the server and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from smidgen.cli.connecting import connect
from smidgen.cli.documents import to_document
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Model, Server, ValidateOnly, Version
from smidgen.cli.output import emit
from smidgen.cli.views import dataset_view, facts, model_view
from smidgen.client.uploads import MODEL_FORMATS, TransferProgress
from smidgen.formats.model_file import ModelFormat

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="File to upload.")]
FileOrFolder = Annotated[
    Path, typer.Argument(exists=True, help="File to upload, or a folder of shards.")
]
Id = Annotated[
    str | None,
    typer.Argument(help="Id on the server: a-z, 0-9 and hyphens. Default: from the file's name."),
]
RequestId = Annotated[
    str,
    typer.Option(help="UUID of your choice; repeat it to resume an upload that was broken off."),
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("upload")(upload)
    app.command("dataset")(dataset)
    app.command("download")(download)


def upload(
    path: File,
    model_id: Id = None,
    *,
    display_name: Annotated[str, typer.Option(help="Name for people.")] = "",
    model_format: Annotated[
        ModelFormat | None,
        typer.Option("--format", help="Format of the file. Default: from its name and content."),
    ] = None,
    request_id: RequestId = "",
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Upload a model: a `.pt2` file of torch.export, an `.onnx` file, or a `.smidgen` artifact.

    The server parses the file strictly and executes nothing of it; unsupported operators are named.
    """
    with connect(server) as client, _transfer_bar(path.name, as_json) as on_progress:
        model = client.upload_model(
            path,
            model_id or default_id(path),
            display_name=display_name,
            file_format=None if model_format is None else MODEL_FORMATS[model_format],
            request_id=request_id,
            validate_only=validate_only,
            on_progress=on_progress,
        )
    emit(to_document(model), model_view(model), as_json=as_json)


def dataset(
    path: FileOrFolder,
    dataset_id: Id = None,
    *,
    request_id: RequestId = "",
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Upload a dataset for training, evaluation or calibration.

    A `.npz` or `.safetensors` file holds an array for each input of the model, named as the input
    or `inputs`, and optionally `labels`; a `.npy` file is the `inputs`. Arrays are floats, scaled
    as the model was trained, or uint8 images for use with a preprocessing. A `.tar` file is a shard
    of WebDataset, a `.zip` file has a folder of images for each class; both hold JPEG or PNG. A
    `.parquet` file of images is made a shard before it leaves this machine, as `smidgen shard` does
    it.

    The files of a folder, all of one format, become one dataset in the order of their names. Each
    is stored as a dataset of its own first, NAME-000 and so on, so that what was broken off goes on
    where it stopped when the command is repeated; these may be deleted afterwards.
    """
    with connect(server) as client, _transfer_bar(path.name, as_json) as on_progress:
        found = client.upload_dataset(
            path,
            dataset_id or default_id(path),
            request_id=request_id,
            validate_only=validate_only,
            on_progress=on_progress,
        )
    emit(to_document(found), dataset_view(found), as_json=as_json)


def download(
    model: Model,
    out: Annotated[Path, typer.Argument(dir_okay=False, help="Where to put the artifact.")],
    version: Version = None,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Download the artifact of a converted model and verify it; resumes a broken download."""
    with connect(server) as client, _transfer_bar(out.name, as_json) as on_progress:
        found = client.download_artifact(model, out, version=version, on_progress=on_progress)
    document = {**to_document(found), "path": str(out)}
    view = facts([("File", out), ("Version", found.name), ("SHA-256", found.sha256)])
    emit(document, view, as_json=as_json)


def default_id(path: Path) -> str:
    """Makes an id of a file's name.

    >>> default_id(Path("data/ResNet_18 v2.pt2"))
    'resnet-18-v2'
    """
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:63].rstrip("-")


@contextmanager
def _transfer_bar(name: str, as_json: bool) -> Iterator[TransferProgress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=as_json or not console.is_terminal
    ) as progress:
        task = progress.add_task(name)
        yield lambda done, total: progress.update(task, completed=done, total=total)
