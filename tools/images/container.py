"""A container of an image, as an orchestrator with strict rules would run it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RIGHTS = ("bounding", "effective", "inheritable", "permitted", "ambient")
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Container:
    """A process that runc has started in namespaces of its own.

    It cannot write but to /data and /tmp, has no capabilities, cannot gain any, and its network is
    a loopback of its own.

    Attributes:
        name: What runc calls it.
        folder: Its bundle; the output of its process is in `log` there.
        runtime: Where runc keeps its state.
        process: The runc that waits for it, and ends as it ends.
    """

    name: str
    folder: Path
    runtime: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def start(
        cls,
        name: str,
        folder: Path,
        *,
        root: Path,
        data: Path,
        configuration: Mapping[str, Any],
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> Container:
        """Starts an image's command.

        Args:
            name: What to call the container.
            folder: An empty one, for its bundle.
            root: The image's files.
            data: What is mounted at /data.
            configuration: The image's.
            arguments: In place of the image's own; none for these.
            variables: Added to those of the image.
        """
        entry, command = configuration["Entrypoint"], configuration["Cmd"]
        specification = _specification(
            root,
            data,
            user=configuration["User"],
            command=[*entry, *(arguments or command)],
            environment=[
                *configuration["Env"],
                *(f"{k}={v}" for k, v in (variables or {}).items()),
            ],
        )
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(specification))
        runtime = folder / "runtime"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*_runc(runtime), "run", "--bundle", str(folder), name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return cls(name, folder, runtime, process)

    @property
    def log(self) -> str:
        """What its process has written."""
        return (self.folder / "log").read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the container, as its user and with its environment."""
        return subprocess.run(
            [*_runc(self.runtime), "exec", self.name, *command],
            check=False,
            capture_output=True,
            text=True,
        )

    def run_beside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command of this machine in the container's network."""
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.process_id}/ns/net", *command],
            check=False,
            capture_output=True,
            text=True,
        )

    @property
    def process_id(self) -> int:
        """That of its first process, outside."""
        done = subprocess.run(
            [*_runc(self.runtime), "state", self.name], check=True, capture_output=True, text=True
        )
        number: int = json.loads(done.stdout)["pid"]
        return number

    def wait_for(self, words: str) -> None:
        """Returns once its log has some words.

        Raises:
            RuntimeError: it ended before, or they did not come in time.
        """
        ends_s = time.monotonic() + _START_S
        while words not in self.log:
            if self.process.poll() is not None or time.monotonic() > ends_s:
                raise RuntimeError(f"no {words!r} in the log:\n{self.log}")
            time.sleep(0.01)

    def stop(self) -> int:
        """Sends SIGTERM, as an orchestrator does, and returns the exit code."""
        subprocess.run([*_runc(self.runtime), "kill", self.name, "TERM"], check=True)
        return self.process.wait()

    def remove(self) -> None:
        """Ends it, if it still runs, and forgets it."""
        command = [*_runc(self.runtime), "delete", "--force", self.name]
        subprocess.run(command, check=False, capture_output=True)
        self.process.wait()


def _specification(
    root: Path, data: Path, *, user: str, command: Sequence[str], environment: Sequence[str]
) -> dict[str, object]:
    """Returns what runc is told, in the form of the OCI's runtime specification."""
    user_id, _, group_id = user.partition(":")
    limits = ["nosuid", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": int(user_id), "gid": int(group_id)},
            "args": list(command),
            "env": list(environment),
            "cwd": "/",
            "capabilities": {kind: [] for kind in _RIGHTS},
            "noNewPrivileges": True,
        },
        "root": {"path": str(root.resolve()), "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "mode=755", "size=64k"],
            },
            {
                "destination": "/tmp",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": [*limits, "mode=1777", "size=64m"],
            },
            {
                "destination": "/data",
                "type": "bind",
                "source": str(data),
                "options": ["bind", "rw", *limits],
            },
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
        },
    }


def _runc(runtime: Path) -> list[str]:
    return ["runc", "--root", str(runtime)]
