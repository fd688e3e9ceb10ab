"""`smidgen jobs`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli.connecting import connect
from smidgen.cli.documents import Json, to_document
from smidgen.cli.following import progress_line, tell_detached
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server
from smidgen.cli.output import emit
from smidgen.cli.views import facts, job_view, kind_name, listing, moment, state_name
from smidgen.client import JobFailedError
from smidgen.v1 import job_service_pb2 as pb

app = typer.Typer(help="List, show, follow, cancel, resume and delete jobs.", no_args_is_help=True)

Job = Annotated[str, typer.Argument(help="Id of a job.")]


@app.command("list")
def list_jobs(server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """List jobs, newest first."""
    with connect(server) as client:
        jobs = list(client.list_jobs())
    rows = (
        (
            job.name,
            kind_name(job),
            state_name(job.state),
            f"{job.progress:.0%}",
            job.model,
            moment(job.create_time),
        )
        for job in jobs
    )
    view = listing(("Job", "Kind", "State", "Done", "Model", "Created"), rows)
    emit({"jobs": [to_document(job) for job in jobs]}, view, as_json=as_json)


@app.command("show")
@app.command("get", hidden=True)  # as other resources have it, and jobs had
def show_job(job: Job, server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """Show a job: where it stands, its attempts and times, and its result or its error."""
    with connect(server) as client:
        found = client.get_job(job)
    emit(to_document(found), job_view(found), as_json=as_json)


@app.command("cancel")
def cancel_job(
    job: Job,
    save_checkpoint: Annotated[
        bool, typer.Option("--save-checkpoint", help="Keep a training resumable.")
    ] = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Ask a job to stop. An interrupted one is given up, and its checkpoint deleted."""
    with connect(server) as client:
        found = client.cancel_job(job, save_checkpoint=save_checkpoint)
    emit(to_document(found), job_view(found), as_json=as_json)


@app.command("resume")
def resume_job(job: Job, server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """Let an interrupted training go on from its checkpoint."""
    with connect(server) as client:
        found = client.resume_job(job)
    emit(to_document(found), job_view(found), as_json=as_json)


@app.command("delete")
def delete_job(job: Job, server: Server = DEFAULT_TARGET, as_json: AsJson = False) -> None:
    """Delete a job that has ended, with its curves and what it trained. Versions stay."""
    with connect(server) as client:
        client.delete_job(job)
    document: Json = {"job": job, "deleted": True}
    emit(document, facts([("Deleted", job)]), as_json=as_json)


@app.command("watch")
def watch_job(
    job: Job,
    after_sequence: Annotated[
        int, typer.Option(min=0, help="Begin after this event; 0 for all.")
    ] = 0,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Follow a job to its end. Ctrl-C stops watching, not the job.

    With --json the job and all its events are printed when it has ended. Ends with 1 if the job
    failed.
    """
    events: list[pb.JobEvent] = []
    with connect(server) as client:
        try:
            with progress_line(job, quiet=as_json) as on_event:
                for event in client.watch_job(job, after_sequence=after_sequence):
                    on_event(event)
                    events.append(event)
        except KeyboardInterrupt:
            tell_detached(job)
            raise
        ended = client.get_job(job)
    document: Json = {"job": to_document(ended), "events": [to_document(event) for event in events]}
    emit(document, job_view(ended), as_json=as_json)
    if ended.state != pb.JOB_STATE_SUCCEEDED:
        raise JobFailedError(ended)
