"""`smidgen serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli.exits import UsageError
from smidgen.cli.server_process import become_server, is_installed


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        "serve",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        add_help_option=False,
    )(serve)


def serve(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[OPTIONS]", help="Settings of the server.")
    ] = None,
) -> None:
    """Run the server in the foreground. `smidgen serve --help` lists its settings."""
    if not is_installed():
        raise UsageError(
            "The server is not installed here, only the library; install the whole package",
            reason="SERVER_NOT_INSTALLED",
        )
    become_server(options or [])
