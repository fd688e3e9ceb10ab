"""A worker process: reads one task from stdin, answers on stdout, and ends.

Run as `python -m smidgen_service.jobs.worker <process id of the server>`; the server does.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

from smidgen.errors import SmidgenError
from smidgen.formats.model_file import ModelFormat
from smidgen.progress import Stopped
from smidgen_service.faults import new_error_id, storage_error
from smidgen_service.inspection import inspect_model
from smidgen_service.jobs import frames
from smidgen_service.jobs.frames import Frame

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_MEMORY_BYTES = 3 << 30
_MEMORY_PER_FILE_BYTE = 4
_CPU_SECONDS = 60


def confine() -> None:
    """Ties the process to its server and takes from it what it does not need."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def take_stdout() -> BinaryIO:
    """Returns a stream to the server; whatever else prints goes to stderr from here on."""
    private = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(private, "wb")


def main() -> int:
    """Runs one task."""
    confine()
    # The server may have died before confine(). It says who it is: by the time Python has started,
    # the parent may already be the process that takes in orphans.
    if [str(os.getppid())] != sys.argv[1:]:
        return 1
    commands, answers = sys.stdin.buffer, take_stdout()
    task = frames.read_blocking(commands)
    if task is None:
        return 1
    try:
        if task.kind == "inspect":
            _inspect(task, answers)
        else:
            # Imported after confine(): torch takes seconds to load, and the server may die
            # meanwhile.
            from smidgen_service.jobs.tasks import Channel, run  # noqa: PLC0415 - see above

            run(task, Channel(commands, answers))
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


def _inspect(task: Frame, answers: BinaryIO) -> None:
    """Reads a model file within limits; beyond them the process ends without an answer."""
    path = Path(task.fields["path"])
    memory = path.stat().st_size * _MEMORY_PER_FILE_BYTE + _MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    try:
        facts = inspect_model(path, ModelFormat(task.fields["format"]))
    except MemoryError:
        os._exit(1)
    frames.write_blocking(answers, "result", facts.to_dict())


def _report_fault(answers: BinaryIO) -> None:
    error_id = new_error_id()
    sys.stderr.write(f"error_id {error_id}\n{traceback.format_exc()}")
    frames.write_blocking(answers, "fault", {"error_id": error_id})


def _report(answers: BinaryIO, error: SmidgenError) -> None:
    fields = {
        "error_type": type(error).__name__,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
    }
    frames.write_blocking(answers, "error", fields)


if __name__ == "__main__":
    sys.exit(main())
