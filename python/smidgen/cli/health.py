"""`smidgen health`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli.connecting import connect
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server
from smidgen.cli.output import emit

Timeout = Annotated[float, typer.Option(help="How long to wait for the server, in seconds.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("health")(health)


def health(
    server: Server = DEFAULT_TARGET, timeout: Timeout = 2.0, as_json: AsJson = False
) -> None:
    """Tell whether a server serves; for container probes. Exits with 3 if it does not."""
    with connect(server) as client:
        client.wait_ready(timeout)
    emit({"status": "SERVING"}, f"{server} is serving", as_json=as_json)
