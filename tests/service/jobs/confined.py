"""Puts on what a worker puts on, tries what it must not be able to do, and prints how that ended.

Run in a scratch directory two levels below a data directory:
`python -m tests.service.jobs.confined <model> <other blob> <port>`.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from smidgen_service.jobs.sandbox import layers
from smidgen_service.jobs.sandbox.limits import tie_to_server


def main() -> int:
    """Prints one JSON document."""
    model, other, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    tie_to_server()
    found = layers.enter(Path.cwd(), {"model": str(model), "config": {"path": str(other)}})
    data_dir = Path.cwd().parent.parent
    tries: dict[str, Callable[[], object]] = {
        "read model": model.read_bytes,
        "write scratch": lambda: Path("file").write_bytes(b"x"),
        "make folder in scratch": lambda: Path("folder").mkdir(),
        "read standard library": Path(json.__file__).read_bytes,
        "read processor": Path("/proc/cpuinfo").read_bytes,
        "start thread": _start_thread,
        "map memory": lambda: bytearray(1 << 20),
        "write null": lambda: Path("/dev/null").write_bytes(b"x"),
        "read other blob": other.read_bytes,
        "read database": (data_dir / "smidgen.db").read_bytes,
        "read key": (data_dir / "secret.key").read_bytes,
        "list data directory": lambda: list(data_dir.iterdir()),
        "read other job": (data_dir / "jobs" / "other" / "worker.log").read_bytes,
        "write model": lambda: model.open("r+b"),
        "delete model": model.unlink,
        "write beside data directory": lambda: (data_dir.parent / "stolen").write_bytes(b"x"),
        "write temporary": lambda: Path("/tmp/smidgen-confined").write_bytes(b"x"),
        "write upwards": lambda: Path("../other/worker.log").write_bytes(b"x"),
        "execute": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
        "fork": _fork,
        "new process": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "socket": lambda: socket.create_connection(("127.0.0.1", port), timeout=5),
        "local socket": socket.socketpair,
        "signal server": lambda: os.kill(os.getppid(), 0),
        "large file": _write_large,
        "much memory": lambda: bytearray(3 << 30),
        "many files": _open_many,
    }
    outcomes = {name: _outcome(attempt) for name, attempt in tries.items()}
    document = {
        "layers": asdict(found),
        "outcomes": outcomes,
        "environment": sorted(os.environ),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "no_new_privs": _status("NoNewPrivs"),
        "seccomp": _status("Seccomp"),
        "death_signal": _death_signal(),
    }
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    except Exception as error:
        return type(error).__name__
    return "done"


def _start_thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _open_many() -> None:
    opened: list[int] = []
    try:
        while len(opened) < 300:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _write_large() -> None:
    with Path("large").open("wb") as file:
        file.truncate(2 << 30)


def _status(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def _death_signal() -> int:
    found = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(found), 0, 0, 0)
    return signal.Signals(found.value)


if __name__ == "__main__":
    sys.exit(main())
