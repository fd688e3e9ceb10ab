"""Runs work in forked processes, each on a fresh directory and a disk with one fault."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen_service.data_dir import DataDir
from tests.service.durability.faulty_disk import PASS, Fault, FaultyDisk

Tell = Callable[[dict[str, Any]], None]
Work = Callable[[Tell], None]

_FILES = ("-wal", "-shm", ".db", ".checkpoint", ".partial", ".safetensors", ".smidgen", ".key")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        messages: What it told.
        was_killed: Whether its disk ended it.
    """

    messages: list[dict[str, Any]]
    was_killed: bool


class Laboratory:
    """Runs scenarios in forked processes on fresh directories."""

    def __init__(self, disk: FaultyDisk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._log = folder / "hit"

    def fresh(self, template: Path | None = None) -> DataDir:
        """Returns an empty data directory, or a copy of another one."""
        root = self._folder / "store"
        shutil.rmtree(root, ignore_errors=True)
        if template is not None:
            shutil.copytree(template, root)
        self._log.unlink(missing_ok=True)
        return DataDir(root)

    def hit(self) -> str:
        """Returns the call that met the fault: its name and the kind of file; "none" for none."""
        if not self._log.exists():
            return "none"
        _, call, path = self._log.read_text().split(" ", maxsplit=2)
        name = Path(path.strip()).name
        kind = next((end for end in _FILES if name.endswith(end)), "blob")
        return f"{call} {kind}"

    def run(
        self,
        data_dir: DataDir,
        work: Work,
        fault: Fault = PASS,
        number: int = 0,
    ) -> Ended:
        """Runs work in a process whose disk has a fault; work tells things by its argument."""
        reader, writer = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            os.close(reader)
            os._exit(self._child(data_dir, work, fault, number, writer))
        os.close(writer)
        with os.fdopen(reader) as stream:
            messages = [json.loads(line) for line in stream if line.endswith("\n")]
        _, status = os.waitpid(process, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        if not was_killed and status != 0:
            raise RuntimeError(f"a process failed: {messages[-1:]}")
        return Ended(messages, was_killed)

    def _child(
        self,
        data_dir: DataDir,
        work: Work,
        fault: Fault,
        number: int,
        writer: int,
    ) -> int:
        def tell(message: dict[str, Any]) -> None:
            os.write(writer, (json.dumps(message) + "\n").encode())

        signal.alarm(120)  # whatever hangs is a failure of its own
        try:
            self._disk.arm(data_dir.root, fault, number, self._log)
            work(tell)
            tell({"calls": self._disk.count})
        except BaseException:
            tell({"error": traceback.format_exc()})
            return 1
        return 0
