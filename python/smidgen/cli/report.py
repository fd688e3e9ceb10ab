"""`smidgen report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from smidgen.cli.connecting import connect
from smidgen.cli.documents import Json, to_document
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server
from smidgen.cli.output import emit
from smidgen.cli.pages import write_page
from smidgen.cli.usage import check_folder
from smidgen.cli.views import facts, report_view, size, training_facts
from smidgen.client.report_documents import report_document
from smidgen.html_report import ReportDocument
from smidgen.v1 import report_service_pb2 as pb


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report)


def report(
    job: Annotated[str, typer.Argument(help="Id of a job that converted or trained a model.")],
    html: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the report as one HTML page to this file."),
    ] = None,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Show what a job did to a model, in the terminal or as a page with charts.

    The page holds everything it needs and asks the network for nothing, so it can be kept or sent.
    """
    if html is not None:
        check_folder(html)
    with connect(server) as client:
        found = client.get_report(job, histograms=html is not None)
    document = report_document(found)
    if html is None:
        emit(to_document(found), _view(found, document), as_json=as_json)
        return
    size_bytes = write_page(html, document)
    answer: Json = {"path": str(html), "size_bytes": size_bytes, "report": document.title}
    pairs = [("Page", html), ("Size", size(size_bytes)), ("Report on", document.title)]
    emit(answer, facts(pairs), as_json=as_json)


def _view(found: pb.Report, document: ReportDocument) -> RenderableType:
    parts = [] if document.report is None else [report_view(document.report)]
    training = training_facts(found.training.result) if found.HasField("training") else []
    return Group(*parts, facts([*document.facts, *training]))
