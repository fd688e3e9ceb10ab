"""How large and how busy the machine is, as Linux tells it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_LIMIT_FILES = {"": "memory.max", "memory": "memory.limit_in_bytes"}  # of versions 2 and 1
_IDLE, _WAITING_FOR_DISKS = 3, 4
_TOLD_TWICE = 8  # what guests take is in what their hosts take too


@dataclass(frozen=True, slots=True)
class Memory:
    """The machine's memory in bytes; what is used is what programs could not have at once."""

    total_bytes: int
    used_bytes: int


def memory(proc: Path = _PROC) -> Memory:
    """Returns the memory of the machine, nothing used where that is not told."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        kib = {
            name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)
        }
        return Memory(kib["MemTotal"] << 10, (kib["MemTotal"] - kib["MemAvailable"]) << 10)
    except (OSError, KeyError, ValueError, IndexError):
        return Memory(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), 0)


def machine_memory_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """Returns the memory that the machine and the control groups leave to this process.

    Args:
        proc: Where Linux describes processes.
        cgroup: Where the control groups are mounted, version 2 or 1.
    """
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([total, *_group_limits(proc, cgroup)])


def _group_limits(proc: Path, cgroup: Path) -> Iterator[int]:
    """Yields the limits of the process's group and of those around it, as far as they are seen."""
    for controllers, path in _groups(proc):
        for controller in controllers.split(","):
            if controller not in _LIMIT_FILES:
                continue
            group = Path(path.lstrip("/"))
            for at in (group, *group.parents):
                try:
                    yield int((cgroup / controller / at / _LIMIT_FILES[controller]).read_text())
                except (OSError, ValueError):  # "max", or a container sees only what is below it
                    continue


def _groups(proc: Path) -> list[tuple[str, str]]:
    """Returns the controllers and the path of each group; the root where it is not told."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:  # not Linux
        return []
    fields = [line.split(":", 2) for line in lines]
    return [(controllers, path) for _, controllers, path in fields]


class CpuUse:
    """Which part of all CPUs' time was used since it was asked for before, for any thread."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._stat = proc / "stat"
        self._lock = threading.Lock()
        self._before = (0, 0)
        self._latest = 0.0

    def ratio(self) -> float:
        """Returns it, 0 to 1: at first since the machine began, and 0 where it is not told."""
        with self._lock:
            busy, total = self._ticks()
            busy_before, total_before = self._before
            if total > total_before:
                self._latest = min(max((busy - busy_before) / (total - total_before), 0.0), 1.0)
                self._before = busy, total
            return self._latest

    def _ticks(self) -> tuple[int, int]:
        try:
            fields = self._stat.read_text().splitlines()[0].split()[1:]
            ticks = [int(field) for field in fields[:_TOLD_TWICE]]
            total = sum(ticks)
            return total - ticks[_IDLE] - ticks[_WAITING_FOR_DISKS], total
        except (OSError, ValueError, IndexError):
            return 0, 0
