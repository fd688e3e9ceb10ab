"""`smidgen token`: the tokens in a server's file of identities, on the server's machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from smidgen.cli.exits import UsageError
from smidgen.cli.options import AsJson
from smidgen.cli.output import emit
from smidgen.cli.views import facts, listing

if TYPE_CHECKING:
    from smidgen_service.security.identities import TokenEntry

app = typer.Typer(
    help="Make, list and revoke the tokens in a server's file of identities.", no_args_is_help=True
)

AuthFile = Annotated[
    Path,
    typer.Option(
        "--auth-file",
        envvar="SMIDGEN_AUTH_FILE",
        help="The file that the server gets as --auth-file.",
    ),
]


@app.command("create")
def create_token(
    auth_file: AuthFile,
    *,
    role: Annotated[
        list[str],
        typer.Option(help="What its holder may do: reader, inferencer, optimizer, admin; repeat."),
    ],
    tenant: Annotated[str, typer.Option(help="Whose models and data it is for.")] = "default",
    days: Annotated[
        float | None, typer.Option(min=0, help="How long it is valid; without, until revoked.")
    ] = None,
    note: Annotated[str, typer.Option(help="Who has it, for your own eyes.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add a token and print it, this once: the file keeps a digest of it alone."""
    with _service_errors():
        from smidgen_service.security import identity_file  # noqa: PLC0415
        from smidgen_service.security.roles import Role  # noqa: PLC0415

        unknown = [name for name in role if name not in list(Role)]
        if unknown:
            raise UsageError(f"The role is {unknown[0]!r}, expected one of {', '.join(Role)}")
        now = datetime.now(tz=UTC)
        token = identity_file.create_token(
            auth_file,
            tenant=tenant,
            roles=frozenset(Role(name) for name in role),
            now=now,
            expire_time=None if days is None else now + timedelta(days=days),
            note=note,
        )
    view = Text(token.text, no_wrap=True, overflow="ignore")
    emit({"id": token.id, "tenant": tenant, "token": token.text}, view, as_json=as_json)


@app.command("list")
def list_tokens(auth_file: AuthFile, as_json: AsJson = False) -> None:
    """List the tokens: ids, tenants and roles."""
    with _service_errors():
        from smidgen_service.security import identity_file  # noqa: PLC0415

        tokens = list(identity_file.read(auth_file).tokens.values())
    rows = (
        (token.id, token.tenant, ", ".join(sorted(token.roles)), _expiry(token), token.note)
        for token in tokens
    )
    view = listing(("Token", "Tenant", "Roles", "Valid until", "Note"), rows)
    documents = [
        {
            "id": token.id,
            "tenant": token.tenant,
            "roles": sorted(str(name) for name in token.roles),
            "expire_time": _expiry(token) or None,
            "note": token.note,
        }
        for token in tokens
    ]
    emit({"tokens": documents}, view, as_json=as_json)


@app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="Id of the token, its part before the dot.")],
    auth_file: AuthFile,
    as_json: AsJson = False,
) -> None:
    """Take a token out of the file; a running server refuses it within about a second."""
    with _service_errors():
        from smidgen_service.security import identity_file  # noqa: PLC0415

        identity_file.revoke_token(auth_file, token)
    emit({"id": token, "revoked": True}, facts([("Revoked", token)]), as_json=as_json)


@contextmanager
def _service_errors() -> Iterator[None]:
    """Turns what the server's part raises into errors of the command line."""
    if importlib.util.find_spec("smidgen_service") is None:
        raise UsageError(
            "The server is not installed here, only the library; install the whole package",
            reason="SERVER_NOT_INSTALLED",
        )
    from smidgen_service.security.identities import IdentityError  # noqa: PLC0415

    try:
        yield
    except IdentityError as error:
        raise UsageError(str(error), reason="IDENTITIES_UNUSABLE") from None


def _expiry(token: TokenEntry) -> str:
    return "" if token.expire_time is None else token.expire_time.isoformat(timespec="seconds")
