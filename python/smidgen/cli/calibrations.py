"""`smidgen calibrations`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli.connecting import connect
from smidgen.cli.documents import to_document
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server
from smidgen.cli.output import emit
from smidgen.cli.views import calibration_view, listing, moment

app = typer.Typer(help="List and show calibrations.", no_args_is_help=True)


@app.command("list")
def list_calibrations(server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """List calibrations, newest first."""
    with connect(server) as client:
        calibrations = list(client.list_calibrations())
    rows = ((c.name, c.model, c.sample_count, moment(c.create_time)) for c in calibrations)
    view = listing(("Calibration", "Model", "Samples", "Created"), rows)
    emit({"calibrations": [to_document(c) for c in calibrations]}, view, as_json=as_json)


@app.command("get")
def get_calibration(
    calibration: Annotated[str, typer.Argument(help="Id of a calibration.")],
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Show a calibration with the range of each activation."""
    with connect(server) as client:
        found = client.get_calibration(calibration)
    emit(to_document(found), calibration_view(found), as_json=as_json)
