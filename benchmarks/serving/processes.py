"""The servers that are measured, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from smidgen.client import Client

START_SECONDS = 60.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server.

    Attributes:
        pid: Its process.
        target: Where it listens.
    """

    pid: int
    target: str

    def cpu_s(self) -> float:
        """Returns the CPU time of the process and of its children so far, in seconds."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(_cpu_s(pid) for pid in (self.pid, *map(int, children)))

    def move_to(self, cores: Set[int]) -> None:
        """Lets the process run on some cores alone."""
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def smidgen_server(
    folder: Path, models: Mapping[str, Path], *flags: str
) -> Iterator[ServerProcess]:
    """Runs the service with artifacts as models.

    Args:
        folder: Where its data directory is made.
        models: Artifacts by model id.
        flags: Of its command.
    """
    folder.mkdir(exist_ok=True)
    data_dir = folder / "store"
    command = [sys.executable, "-m", "smidgen_service", "--port", "0", "--metrics-port", "-1"]
    command += ["--data-dir", str(data_dir), "--job-workers", "0"]
    command += ["--lame-duck-seconds", "0", *flags]
    with (folder / "server.log").open("wb") as log, _ended(command, stderr=log) as process:
        announced = _wait_for(data_dir / "server.json", process)
        server = ServerProcess(process.pid, f"127.0.0.1:{announced['port']}")
        with Client(server.target) as client:
            for model_id, path in models.items():
                client.upload_model(path, model_id)
        yield server


@contextmanager
def echo_server() -> Iterator[ServerProcess]:
    """Runs benchmarks.serving.echo."""
    command = [sys.executable, "-m", "benchmarks.serving.echo"]
    with _ended(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # a pipe, see above
        port = int(process.stdout.readline())
        yield ServerProcess(process.pid, f"127.0.0.1:{port}")


@contextmanager
def _ended(
    command: list[str], *, stderr: IO[bytes] | int | None = None, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> dict[str, int]:
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start; see {path.parent.parent}/server.log")
        time.sleep(_POLL_SECONDS)
    announced: dict[str, int] = json.loads(path.read_text())
    return announced
