"""`smidgen datasets`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli.connecting import connect
from smidgen.cli.documents import Json, to_document
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server, ValidateOnly
from smidgen.cli.output import emit
from smidgen.cli.views import dataset_view, facts, listing, moment, size, specs

app = typer.Typer(help="List, show, join and delete datasets.", no_args_is_help=True)

Dataset = Annotated[str, typer.Argument(help="Id of a dataset.")]


@app.command("list")
def list_datasets(server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """List datasets, newest first."""
    with connect(server) as client:
        datasets = list(client.list_datasets())
    rows = (
        (d.name, d.sample_count, specs(d.arrays), size(d.size_bytes), moment(d.create_time))
        for d in datasets
    )
    view = listing(("Dataset", "Samples", "Arrays", "Size", "Created"), rows)
    emit({"datasets": [to_document(dataset) for dataset in datasets]}, view, as_json=as_json)


@app.command("get")
def get_dataset(dataset: Dataset, server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """Show a dataset."""
    with connect(server) as client:
        found = client.get_dataset(dataset)
    emit(to_document(found), dataset_view(found), as_json=as_json)


@app.command("create")
def create_dataset(
    dataset: Annotated[str, typer.Argument(help="Id of the new dataset.")],
    shards: Annotated[list[str], typer.Argument(help="Ids of datasets, in order.")],
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Make one dataset of stored ones: their samples one after the other.

    Nothing is copied, and the shards may be deleted afterwards.
    """
    with connect(server) as client:
        found = client.create_dataset(dataset, shards, validate_only=validate_only)
    emit(to_document(found), dataset_view(found), as_json=as_json)


@app.command("delete")
def delete_dataset(
    dataset: Dataset,
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Delete a dataset."""
    with connect(server) as client:
        client.delete_dataset(dataset, validate_only=validate_only)
    document: Json = {"dataset": dataset, "deleted": not validate_only}
    view = facts([("May be deleted" if validate_only else "Deleted", dataset)])
    emit(document, view, as_json=as_json)
