"""`smidgen alias`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli.connecting import connect
from smidgen.cli.documents import Json, to_document
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Model, Server, ValidateOnly
from smidgen.cli.output import emit
from smidgen.cli.views import alias_view, facts, listing, moment
from smidgen.client import Client, RemoteError

app = typer.Typer(
    help="Point names at versions of a model, move them back, list and delete them.",
    no_args_is_help=True,
)

Alias = Annotated[str, typer.Argument(help="Id of an alias, for instance production.")]
Expected = Annotated[
    int | None,
    typer.Option(
        "--expected",
        help="Version that the alias points at now; by default the one that the server says.",
    ),
]


@app.command("set")
def set_alias(
    model: Model,
    alias: Alias,
    version: Annotated[str, typer.Argument(help="Version, or another alias of the model.")],
    *,
    expected: Expected = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Most accuracy that the version may lose by its report; refused if it loses more "
            "or nothing was measured.",
        ),
    ] = None,
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Make an alias or move it, unless somebody else moved it meanwhile."""
    with connect(server) as client:
        moved = client.set_alias(
            model,
            alias,
            version,
            expected_version=expected,
            etag=_etag(client, model, alias) if expected is None else "",
            max_drop=max_drop,
            validate_only=validate_only,
        )
    emit(to_document(moved), alias_view(moved), as_json=as_json)


@app.command("rollback")
def roll_back_alias(
    model: Model,
    alias: Alias,
    *,
    expected: Expected = None,
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Move an alias back to the version before its last move that was not undone."""
    with connect(server) as client:
        moved = client.rollback_alias(
            model, alias, expected_version=expected, validate_only=validate_only
        )
    emit(to_document(moved), alias_view(moved), as_json=as_json)


@app.command("get")
def get_alias(
    model: Model, alias: Alias, server: Server = DEFAULT_TARGET, as_json: AsJson = False
) -> None:
    """Show an alias with its newest moves: where, when, and by whom."""
    with connect(server) as client:
        found = client.get_alias(model, alias)
    emit(to_document(found), alias_view(found), as_json=as_json)


@app.command("list")
def list_aliases(model: Model, server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """List the aliases of a model, newest first."""
    with connect(server) as client:
        aliases = list(client.list_aliases(model))
    rows = ((a.name, a.model_version, a.rollback_version, moment(a.update_time)) for a in aliases)
    view = listing(("Alias", "Version", "Rollback to", "Moved"), rows)
    emit({"aliases": [to_document(alias) for alias in aliases]}, view, as_json=as_json)


@app.command("delete")
def delete_alias(
    model: Model,
    alias: Alias,
    *,
    expected: Expected = None,
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Delete an alias with its history; the version stays."""
    with connect(server) as client:
        client.delete_alias(model, alias, expected_version=expected, validate_only=validate_only)
    document: Json = {"model": model, "alias": alias, "deleted": not validate_only}
    verb = "May be deleted" if validate_only else "Deleted"
    emit(document, facts([(verb, f"{model}/aliases/{alias}")]), as_json=as_json)


def _etag(client: Client, model: str, alias: str) -> str:
    """Returns what the alias shows now, empty where there is none yet."""
    try:
        return client.get_alias(model, alias).etag
    except RemoteError as error:
        if error.reason != "ALIAS_NOT_FOUND":
            raise
        return ""
