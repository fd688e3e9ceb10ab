"""Shows a job while it runs, and knows what Ctrl-C means to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from smidgen.cli.output import note
from smidgen.cli.views import stage_name, state_name
from smidgen.client import Client
from smidgen.client.errors import JobFailedError
from smidgen.v1 import job_service_pb2 as pb

EventHandler = Callable[[pb.JobEvent], None]


def follow(client: Client, job: pb.Job, *, quiet: bool, cancel_on_interrupt: bool) -> pb.Job:
    """Shows a job until it has succeeded and returns it.

    Raises: KeyboardInterrupt on Ctrl-C, after which the job goes on, or is asked to stop if
    cancel_on_interrupt; JobFailedError; RemoteError.
    """
    try:
        with progress_line(job.name, quiet=quiet) as on_event:
            for event in client.watch_job(job.name):
                on_event(event)
    except KeyboardInterrupt:
        _interrupt(client, job.name, cancel=cancel_on_interrupt)
        raise
    ended = client.get_job(job.name)
    if ended.state != pb.JOB_STATE_SUCCEEDED:
        raise JobFailedError(ended)
    return ended


def tell_detached(name: str) -> None:
    """Says that a job goes on although nobody follows it any more."""
    note(f"{name} goes on. Follow it with `smidgen jobs watch {name}`.")


@contextmanager
def progress_line(name: str, *, quiet: bool) -> Iterator[EventHandler]:
    """Shows events on stderr: as a bar on a terminal, else as lines, one for each epoch."""
    console = Console(stderr=True)
    if quiet:
        yield lambda _event: None
    elif console.is_terminal:
        with _bar(name, console) as on_event:
            yield on_event
    else:
        yield lambda event: _line(name, event)


@contextmanager
def _bar(name: str, console: Console) -> Iterator[EventHandler]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    shares = ""
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=1.0, figures="")

        def on_event(event: pb.JobEvent) -> None:
            nonlocal shares
            shares = _shares(event) or shares
            parts = (_losses(event), shares, _programs(event))
            figures = " ".join(part for part in parts if part)
            title = f"{name} {stage_name(event.stage) or state_name(event.state)}"
            progress.update(task, completed=event.progress, description=title, figures=figures)

        yield on_event


def _line(name: str, event: pb.JobEvent) -> None:
    shares = _shares(event)
    if shares or event.message or not event.HasField("task_loss"):
        parts = (
            name,
            state_name(event.state),
            stage_name(event.stage),
            f"{event.progress:.0%}",
            f"epoch {event.epoch}" if event.epoch else "",
            _programs(event),
            _losses(event),
            shares,
            event.message,
        )
        note(" ".join(part for part in parts if part))


def _losses(event: pb.JobEvent) -> str:
    parts = []
    if event.HasField("task_loss"):
        parts.append(f"task loss {event.task_loss:.4g}")
    if event.HasField("quantization_loss"):
        parts.append(f"quantization loss {event.quantization_loss:.4g}")
    if event.feature_loss > 0.0:
        parts.append(f"feature loss {event.feature_loss:.4g}")
    return " ".join(parts)


def _programs(event: pb.JobEvent) -> str:
    """Returns how far a search is; nothing for other events."""
    if event.stage != pb.JOB_STAGE_SEARCH:
        return ""
    return f"program {event.step} of at most {event.total_steps}"


def _shares(event: pb.JobEvent) -> str:
    """Returns what an evaluation found; nothing for other events."""
    parts = []
    if event.HasField("accuracy"):
        parts.append(f"accuracy {event.accuracy:.4f}")
    if event.HasField("agreement"):
        parts.append(f"agreement {event.agreement:.4f}")
    return " ".join(parts)


def _interrupt(client: Client, name: str, *, cancel: bool) -> None:
    if cancel:
        client.cancel_job(name)
        note(f"{name} was asked to stop.")
    else:
        tell_detached(name)
