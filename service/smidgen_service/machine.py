"""How busy the machine is, as Linux tells it."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
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
