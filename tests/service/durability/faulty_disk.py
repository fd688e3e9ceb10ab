"""Compiles faulty_disk.c, and arms it in this process or in one that is about to start."""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("faulty_disk.c")


class Call(enum.IntFlag):
    """Kinds of calls that change files."""

    OPEN = 1
    WRITE = 2
    SYNC = 4
    RENAME = 8
    UNLINK = 16
    MAKE = 32
    TRUNCATE = 64


CHANGES = Call.WRITE | Call.SYNC | Call.RENAME | Call.UNLINK | Call.MAKE | Call.TRUNCATE
ROOM = Call.OPEN | Call.WRITE | Call.RENAME | Call.MAKE | Call.TRUNCATE


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at the n-th call of some kinds.

    Attributes:
        action: As in faulty_disk.c: 1 and 2 end the process, 3 writes half; else minus an errno.
        calls: The kinds that count.
    """

    action: int
    calls: Call


PASS = Fault(0, CHANGES)
KILL = Fault(1, CHANGES)
TEAR = Fault(2, CHANGES)
SHORT = Fault(3, Call.WRITE)
FAULTS = {
    "ENOSPC": Fault(-errno.ENOSPC, ROOM),
    "EIO": Fault(-errno.EIO, CHANGES | Call.OPEN),
    "EMFILE": Fault(-errno.EMFILE, Call.OPEN),
    "short": SHORT,
}


def build(folder: Path) -> Path:
    """Returns the library to preload."""
    target = folder / "faulty_disk.so"
    if not target.exists():
        command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([*command, "-o", str(target), str(SOURCE), "-ldl"], check=True)
    return target


class FaultyDisk:
    """The library in a process into which it was preloaded."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self._library.faulty_disk_count.restype = ctypes.c_long

    def arm(self, root: Path, fault: Fault, number: int, log: Path) -> None:
        """Begins to count calls below a folder; the fault is at the number-th, 0 for never."""
        self._library.faulty_disk_arm(
            os.fsencode(root),
            int(fault.calls),
            ctypes.c_long(number),
            fault.action,
            os.fsencode(log),
        )

    @property
    def count(self) -> int:
        """Calls so far."""
        return int(self._library.faulty_disk_count())


def environment(
    library: Path, root: Path, fault: Fault, number: int, log: Path, gate: Path | None = None
) -> dict[str, str]:
    """Returns the variables by which a new process is armed from its start.

    With a gate it counts from the moment on at which that file is there.
    """
    return {
        **os.environ,
        "LD_PRELOAD": str(library),
        "FAULTY_DISK_ROOT": str(root),
        "FAULTY_DISK_KINDS": str(int(fault.calls)),
        "FAULTY_DISK_AT": str(number),
        "FAULTY_DISK_ACTION": str(fault.action),
        "FAULTY_DISK_LOG": str(log),
        "FAULTY_DISK_GATE": "" if gate is None else str(gate),
    }
