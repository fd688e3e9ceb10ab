"""A Smidgen server of one's own, as a process on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where a server listens.

    Attributes:
        target: `host:port` of gRPC.
        metrics_url: Where Prometheus would scrape.
        pid: Process id.
    """

    target: str
    metrics_url: str
    pid: int

    def scrape(self) -> str:
        """Returns the metrics in Prometheus' text format."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            text: str = answer.read().decode()
        return text


@contextmanager
def serve(folder: Path, *flags: str) -> Iterator[RunningServer]:
    """Runs `smidgen serve` on free ports with its data in `folder`; stops it at the end.

    Args:
        folder: For its data.
        flags: Further ones of its command.
    """
    command = [str(Path(sys.executable).with_name("smidgen")), "serve"]
    options = ["--port", "0", "--metrics-port", "0", "--data-dir", str(folder)]
    options += ["--lame-duck-seconds", "0", *flags]  # nobody else uses it
    folder.mkdir(parents=True)
    with (folder.parent / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], stderr=log)
    try:
        yield _wait_for_ports(process, folder)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT_S)


def _wait_for_ports(process: subprocess.Popen[bytes], folder: Path) -> RunningServer:
    """Reads the ports from the file that the server writes once it listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    note = folder / "server.json"
    while not note.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            log = folder.parent / "server.log"
            sys.exit(f"the server did not start; it says:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
    ports = json.loads(note.read_text())
    return RunningServer(
        target=f"127.0.0.1:{ports['port']}",
        metrics_url=f"http://127.0.0.1:{ports['metrics_port']}/metrics",
        pid=process.pid,
    )
