"""One worker process as the server sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from smidgen_service.errors import WorkerDiedError
from smidgen_service.jobs import frames
from smidgen_service.jobs.frames import Frame
from smidgen_service.jobs.sandbox import layers
from smidgen_service.jobs.sandbox.limits import Limits

LOG_NAME = "worker.log"
_PASSED_ON = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "LANG",
    "REACH_FOLDER",  # where the tests note which lines run
)


def worker_environment(
    *, threads: int, isa: str | None, limits: Limits | None = None, is_confined: bool = True
) -> dict[str, str]:
    """Returns the few variables that workers get, and no others."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if limits is not None:
        environment |= limits.to_environment()
    if not is_confined:
        environment[layers.VARIABLE] = layers.OFF
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    # Threads that spin while they wait for each other make training ten times slower as soon as
    # something else wants the cores, the server itself for one.
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    # NumPy's BLAS, by which the reference multiplies, always spins; the levels that are compared
    # with it run beside it.
    environment["OPENBLAS_NUM_THREADS"] = "1"
    isa = isa or os.environ.get("SMIDGEN_ISA")
    if isa:
        environment["SMIDGEN_ISA"] = isa
    return environment


class WorkerProcess:
    """A fresh process that runs one task. It cannot outlive the server."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout

    @classmethod
    async def start(cls, scratch: Path, environment: Mapping[str, str]) -> Self:
        """Starts a worker with a scratch directory, which also gets its stderr."""
        with (scratch / LOG_NAME).open("ab") as log_file:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "smidgen_service.jobs.worker",
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,
                cwd=scratch,
                env={**environment, "HOME": str(scratch), "TMPDIR": str(scratch)},
                start_new_session=True,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def send(self, kind: str, fields: Mapping[str, Any], payload: bytes = b"") -> None:
        """Sends a frame and waits until the worker has room for more.

        A worker that has died takes no frames; `receive` tells so afterwards.
        """
        try:
            self._stdin.write(frames.encode(kind, fields, len(payload)))
            self._stdin.write(payload)
            await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return

    async def receive(self) -> Frame:
        """Returns the worker's next frame.

        Raises:
            WorkerDiedError: the process ended without one.
        """
        frame = await frames.read(self._stdout)
        if frame is None:
            raise _died(await self._process.wait())
        return frame

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal unless the process has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def close(self) -> None:
        """Kills the process if it still runs, and reaps it."""
        self.signal(signal.SIGKILL)
        self._stdin.close()
        await self._process.wait()


def _died(return_code: int) -> WorkerDiedError:
    if return_code >= 0:
        return WorkerDiedError(
            f"the worker process ended with exit code {return_code} and no answer; "
            "its log is in the job's directory on the server",
            exit_code=return_code,
        )
    name = signal.Signals(-return_code).name
    return WorkerDiedError(
        f"the worker process was ended by {name}; if that was SIGKILL, the machine may be "
        "short of memory: use a smaller batch or give the server more",
        signal=name,
    )
