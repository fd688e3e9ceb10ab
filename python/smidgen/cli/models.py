"""`smidgen models`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli.connecting import connect
from smidgen.cli.documents import Json, to_document
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Model, Server, ValidateOnly
from smidgen.cli.output import emit
from smidgen.cli.views import facts, listing, model_view, moment, size, version_view

app = typer.Typer(help="List, show and delete models and their versions.", no_args_is_help=True)


@app.command("list")
def list_models(server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """List models, newest first."""
    with connect(server) as client:
        models = list(client.list_models())
    rows = (
        (m.name, size(m.size_bytes), m.parameter_count, m.latest_version, moment(m.create_time))
        for m in models
    )
    view = listing(("Model", "Size", "Parameters", "Newest version", "Created"), rows)
    emit({"models": [to_document(model) for model in models]}, view, as_json=as_json)


@app.command("get")
def get_model(model: Model, server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """Show a model."""
    with connect(server) as client:
        found = client.get_model(model)
    emit(to_document(found), model_view(found), as_json=as_json)


@app.command("delete")
def delete_model(
    model: Model,
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Delete a model with its versions and calibrations."""
    with connect(server) as client:
        client.delete_model(model, validate_only=validate_only)
    document: Json = {"model": model, "deleted": not validate_only}
    emit(
        document,
        facts([("May be deleted" if validate_only else "Deleted", model)]),
        as_json=as_json,
    )


@app.command("versions")
def list_versions(model: Model, server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """List the converted versions of a model, newest first."""
    with connect(server) as client:
        versions = list(client.list_versions(model))
    rows = ((v.name, size(v.size_bytes), v.sha256[:12], moment(v.create_time)) for v in versions)
    view = listing(("Version", "Size", "SHA-256", "Created"), rows)
    emit({"model_versions": [to_document(v) for v in versions]}, view, as_json=as_json)


@app.command("version")
def get_version(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="Number or alias; the newest by default.")
    ] = None,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Show a converted version with its report: what was quantized, how, and at what cost."""
    with connect(server) as client:
        found = client.get_version(model, version)
    emit(to_document(found), version_view(found), as_json=as_json)
