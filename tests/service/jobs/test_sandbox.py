"""What a worker can still do, tried from inside of one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smidgen_service.jobs.process import worker_environment
from smidgen_service.jobs.sandbox import landlock, layers, seccomp
from smidgen_service.jobs.sandbox.landlock import Reach
from smidgen_service.jobs.sandbox.limits import Limits, limits_of

ROOT = Path(__file__).resolve().parents[3]
LIMITS = Limits(memory_bytes=2 << 30, file_bytes=1 << 30)
NEEDS_LANDLOCK = {
    "read other blob",
    "read database",
    "read key",
    "list data directory",
    "read other job",
    "write model",
    "delete model",
    "write beside data directory",
    "write temporary",
    "write upwards",
}
NEEDS_SECCOMP = {"execute", "fork", "new process", "socket", "local socket"}
ALLOWED = {
    "read model",
    "write scratch",
    "make folder in scratch",
    "read standard library",
    "read processor",
    "start thread",
    "map memory",
    "write null",
}


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def confined(tmp_path: Path, listener: socket.socket, *, is_confined: bool = True) -> Any:
    """Returns what a process found that put on all layers."""
    data_dir = tmp_path / "store"
    scratch = data_dir / "jobs" / "mine"
    scratch.mkdir(parents=True)
    places = ["blobs/sha256/ab/model", "blobs/sha256/cd/other", "smidgen.db", "secret.key"]
    for name in (*places, "jobs/other/worker.log"):
        path = data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"secret")
    environment = worker_environment(threads=1, isa=None, limits=LIMITS, is_confined=is_confined)
    # What an installed package finds by itself.
    paths = (ROOT, ROOT / "python", ROOT / "service")
    environment["PYTHONPATH"] = ":".join(map(str, paths))
    model, other = (data_dir / name for name in places[:2])
    port = str(listener.getsockname()[1])
    ended = subprocess.run(
        [sys.executable, "-m", "tests.service.jobs.confined", str(model), str(other), port],
        cwd=scratch,
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert (data_dir / places[0]).exists() or not is_confined
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("SMIDGEN_DATA_DIR", "/secret")
        return confined(tmp_path_factory.mktemp("confined"), listener)


def test_a_task_names_its_files_where_the_server_puts_them(tmp_path: Path) -> None:
    model, first, second = (str(tmp_path / name) for name in ("model", "first", "second"))
    task = {
        "model": model,
        "dataset": {"paths": [first, "/etc/passwd", second], "format": "npz"},
        "evaluation": None,
        "config": {"paths": [str(tmp_path / "other")]},
    }
    assert [str(path) for path in layers.files_of(task, tmp_path)] == [model, first, second]


def test_worker_can_do_its_work_and_nothing_else(found: Any) -> None:
    outcomes = found["outcomes"]
    assert {name for name in ALLOWED if outcomes[name] == "done"} == ALLOWED, outcomes
    refused = {"large file", "much memory", "many files"}
    if found["layers"]["landlock"]:
        refused |= NEEDS_LANDLOCK
        if found["layers"]["landlock"] >= 6:
            refused.add("signal server")
    if found["layers"]["seccomp"]:
        refused |= NEEDS_SECCOMP
        assert found["seccomp"] == "2"
    assert {name for name in refused if outcomes[name] == "done"} == set(), outcomes
    assert outcomes["large file"] == "File too large"
    assert outcomes["much memory"] == "MemoryError"
    assert outcomes["many files"] == "Too many open files"
    assert found["core"] == [0, 0]
    assert found["no_new_privs"] == "1"
    assert found["death_signal"] == signal.SIGKILL


def test_layers_of_this_machine_are_those_that_are_told(found: Any) -> None:
    available = layers.available()
    assert found["layers"] == {"landlock": available.landlock, "seccomp": available.seccomp}
    assert available.is_whole == (available.landlock > 0 and available.seccomp)


def test_sandbox_can_be_turned_off(tmp_path: Path, listener: socket.socket) -> None:
    found = confined(tmp_path, listener, is_confined=False)
    assert found["layers"] == {"landlock": 0, "seccomp": False}
    assert found["outcomes"]["read database"] == "done"
    assert found["outcomes"]["socket"] == "done"
    assert found["no_new_privs"] == "1"


def test_worker_gets_the_listed_variables_alone(found: Any) -> None:
    listed = {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG", "SMIDGEN_ISA"}
    listed |= {"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS"}
    listed |= {"SMIDGEN_WORKER_MEMORY_BYTES", "SMIDGEN_WORKER_FILE_BYTES", "LC_CTYPE"}
    listed |= {"REACH_FOLDER"}
    assert set(found["environment"]) <= listed


def test_limits_travel_through_the_environment() -> None:
    assert limits_of(LIMITS.to_environment()) == LIMITS
    assert limits_of({}) is None


def test_kernels_without_the_layers_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(38, "function not implemented")

    for module in (landlock, seccomp):
        monkeypatch.setattr(module, "syscall", refuse)
    assert layers.available() == layers.Layers(0, seccomp=False)
    assert landlock.restrict(Reach(Path("/tmp/none"), (), ())) == 0
    assert not seccomp.restrict()
    monkeypatch.setattr(seccomp, "machine", lambda: "riscv64")
    assert not seccomp.is_available()
