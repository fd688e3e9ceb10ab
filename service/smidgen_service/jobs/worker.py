"""A worker process: reads one task from stdin, answers on stdout, and ends.

Run as `python -m smidgen_service.jobs.worker <process id of the server>`; the server does.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from smidgen.config import QATConfig
from smidgen.config.documents import from_document
from smidgen.data.opening import read_pictures
from smidgen.errors import SmidgenError
from smidgen.formats.dataset import DatasetFormat
from smidgen.formats.model_file import ModelFormat
from smidgen.progress import Stopped
from smidgen.training_data import check_data, check_samples
from smidgen_service.dataset_inspection import inspect_images
from smidgen_service.faults import new_error_id, storage_error
from smidgen_service.inspection import inspect_model
from smidgen_service.jobs import frames
from smidgen_service.jobs.channel import Channel
from smidgen_service.jobs.data_fields import dataset_of
from smidgen_service.jobs.frames import Frame
from smidgen_service.jobs.image_worker import error_fields, serve_images
from smidgen_service.jobs.sandbox import layers
from smidgen_service.jobs.sandbox.limits import lower, tie_to_server
from smidgen_service.store.records import decode_specs

_MEMORY_BYTES = 3 << 30
_MEMORY_PER_FILE_BYTE = 4
_CPU_SECONDS = 60


def take_stdout() -> BinaryIO:
    """Returns a stream to the server; whatever else prints goes to stderr from here on."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb")


def main() -> int:
    """Runs one task."""
    tie_to_server()
    # The server may have died before that. It says who it is: by the time Python has started,
    # the parent may already be the process that takes in orphans.
    if [str(os.getppid())] != sys.argv[1:]:
        return 1
    commands, answers = sys.stdin.buffer, take_stdout()
    task = frames.read_blocking(commands)
    if task is None:
        return 1
    layers.enter(Path.cwd(), task.fields)
    try:
        if task.kind in _INSPECTIONS:
            _inspect(task, answers)
        elif task.kind == "serve_images":
            serve_images(commands, answers)
        else:
            _run(task, Channel(commands, answers))
    except Stopped:
        frames.write_blocking(answers, "stopped", {})
    except SmidgenError as error:
        _report(answers, error)
    except OSError as error:
        full = storage_error(error)
        if full is None:
            _report_fault(answers)
        else:
            _report(answers, full)
    except Exception:  # the text of unknown errors stays in the worker's log
        _report_fault(answers)
    return 0


def _run(task: Frame, channel: Channel) -> None:
    """Runs a task that needs torch, and where it is asked to tells meanwhile that it lives."""
    interval_s = task.fields.get("alive_interval_s")
    with nullcontext() if interval_s is None else channel.alive(interval_s):
        with _lasting():
            # Imported here: torch takes seconds to load, and the server may die meanwhile.
            from smidgen_service.jobs.tasks import run  # noqa: PLC0415 - see above

        run(task, channel)


@contextmanager
def _lasting() -> Iterator[None]:
    """Spares the collector all that is made within: it lasts as long as the process."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _inspect(task: Frame, answers: BinaryIO) -> None:
    """Reads files within limits; beyond them the process ends without an answer."""
    fields = task.fields
    paths = [Path(path) for path in fields.get("paths") or [fields["path"]]]
    file_bytes = sum(path.stat().st_size for path in paths)
    lower(resource.RLIMIT_AS, file_bytes * _MEMORY_PER_FILE_BYTE + _MEMORY_BYTES)
    lower(resource.RLIMIT_CPU, _CPU_SECONDS * len(paths))
    try:
        facts = _INSPECTIONS[task.kind](fields)
    except MemoryError:
        os._exit(1)
    frames.write_blocking(answers, "result", facts)


def _inspect_model(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return inspect_model(Path(fields["path"]), ModelFormat(fields["format"])).to_dict()


def _inspect_images(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return inspect_images(Path(fields["path"]), DatasetFormat(fields["format"])).to_dict()


def _join_images(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    read_pictures([Path(path) for path in fields["paths"]], DatasetFormat(fields["format"]))
    return {}


def _check_data(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    config = fields["config"]
    check_data(
        dataset_of(fields),
        decode_specs(fields["inputs"]),
        decode_specs(fields["outputs"]),
        None if config is None else from_document(QATConfig, config),
    )
    return {}


def _check_samples(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    check_samples(dataset_of(fields), decode_specs(fields["inputs"]))
    return {}


_INSPECTIONS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "inspect": _inspect_model,
    "inspect_images": _inspect_images,
    "join_images": _join_images,
    "check_data": _check_data,
    "check_samples": _check_samples,
}


def _report_fault(answers: BinaryIO) -> None:
    error_id = new_error_id()
    sys.stderr.write(f"error_id {error_id}\n{traceback.format_exc()}")
    frames.write_blocking(answers, "fault", {"error_id": error_id})


def _report(answers: BinaryIO, error: SmidgenError) -> None:
    frames.write_blocking(answers, "error", error_fields(error))


if __name__ == "__main__":
    sys.exit(main())
