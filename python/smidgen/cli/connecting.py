"""The options that say how to connect: they stand before the command and hold for all of them."""

from __future__ import annotations

import contextvars
from pathlib import Path
from typing import Annotated

import typer

from smidgen.client import Access, Client
from smidgen.client.access import read_token

_ACCESS: contextvars.ContextVar[Access] = contextvars.ContextVar("access", default=Access())  # noqa: B039 - frozen

IsEncrypted = Annotated[
    bool, typer.Option("--tls", help="Use TLS, with the roots of the system unless --tls-ca.")
]
RootFile = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca",
        envvar="SMIDGEN_TLS_CA",
        help="PEM file of the roots that the server's certificate must come from; implies TLS.",
    ),
]
CertificateFile = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        envvar="SMIDGEN_CLIENT_CERT",
        help="PEM file of your own certificate, where the server asks for one.",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option("--tls-key", envvar="SMIDGEN_CLIENT_KEY", help="PEM file of its key."),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--tls-name",
        envvar="SMIDGEN_TLS_NAME",
        help="Name in the server's certificate, where it is not the host that you call.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="SMIDGEN_TOKEN",
        show_envvar=True,
        help="Token that says who you are. Others on this machine can read options; prefer "
        "SMIDGEN_TOKEN or --token-file.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", envvar="SMIDGEN_TOKEN_FILE", help="File that holds the token."),
]


def register(app: typer.Typer) -> None:
    """Adds the options in front of all commands."""
    app.callback()(access)


def access(
    *,
    is_encrypted: IsEncrypted = False,
    tls_ca: RootFile = None,
    tls_cert: CertificateFile = None,
    tls_key: KeyFile = None,
    tls_name: Name = None,
    token: Token = None,
    token_file: TokenFile = None,
) -> None:
    """Makes neural networks small and fast without losing their accuracy, and serves them."""
    if token is None and token_file is not None:
        token = read_token(token_file)
    _ACCESS.set(Access(is_encrypted, tls_ca, tls_cert, tls_key, token or None, tls_name))


def connect(server: str) -> Client:
    """Returns a client of a server, by the options in front of the command."""
    chosen = _ACCESS.get()
    credentials = chosen.credentials()
    return Client(server, credentials=credentials, token=chosen.token, tls_name=chosen.tls_name)
