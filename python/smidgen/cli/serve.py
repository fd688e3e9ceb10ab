"""`smidgen serve`."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Annotated

import typer

from smidgen.cli.exits import UsageError


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
    if importlib.util.find_spec("smidgen_service") is None:
        raise UsageError(
            "The server is not installed here, only the library; install the whole package",
            reason="SERVER_NOT_INSTALLED",
        )
    sys.stdout.flush()
    # The server takes the place of this process: signals and the exit code are its own.
    os.execv(sys.executable, [sys.executable, "-m", "smidgen_service", *(options or [])])
