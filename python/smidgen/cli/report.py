"""`smidgen report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smidgen.cli.documents import Json, to_document
from smidgen.cli.exits import UsageError
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server
from smidgen.cli.output import emit
from smidgen.cli.usage import check_folder
from smidgen.cli.views import facts, size, version_view
from smidgen.client import Client
from smidgen.durable_file import write_durably
from smidgen.html_report import render
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2 as models_pb


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    job: Annotated[str, typer.Argument(help="Id of the job that converted the model.")],
    html: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the report as one HTML page to this file."),
    ] = None,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Show what a conversion did to a model, in the terminal or as a page with charts.

    The page holds everything it needs and asks the network for nothing, so it can be kept or sent.
    """
    if html is not None:
        check_folder(html)
    with Client(server) as client:
        version = _version_of(client, job)
        if html is None:
            emit(to_document(version), version_view(version), as_json=as_json)
            return
        page = render(client.report_document(version)).encode()
    write_durably(html, page)
    document: Json = {"path": str(html), "size_bytes": len(page), "version": version.name}
    pairs = [("Page", html), ("Size", size(len(page))), ("Version", version.name)]
    emit(document, facts(pairs), as_json=as_json)


def _version_of(client: Client, job: str) -> models_pb.ModelVersion:
    found = client.get_job(job)
    if found.HasField("convert"):
        return client.get_version(found.convert.model_version)
    kind = jobs_pb.JobKind.Name(found.kind).removeprefix("JOB_KIND_")
    state = jobs_pb.JobState.Name(found.state).removeprefix("JOB_STATE_")
    raise UsageError(
        f"{found.name} is a {kind} job in state {state}, expected a CONVERT job that SUCCEEDED; "
        "its report holds the training too",
        reason="JOB_WITHOUT_REPORT",
        job=found.name,
    )
