"""How many CPUs this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
_NAME = "model name"


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """Returns the CPUs that the scheduler and the container's limit leave to this process.

    Args:
        cgroup: Where the control group of the process is mounted, version 2 or 1.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cpus = os.cpu_count() or 1
    quota = _quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """Returns what the CPU calls itself; empty where the system does not say.

    Args:
        cpuinfo: Where Linux describes the CPUs.
    """
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(_NAME)), "")


def _quota(cgroup: Path) -> float | None:
    """CPU time by wall-clock time that the control group may take; None for no limit."""
    try:
        if (cgroup / "cpu.max").exists():
            most, period = (cgroup / "cpu.max").read_text().split()
        else:
            most = (cgroup / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text()
        return int(most) / int(period) if int(most) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # absent, or "max"
        return None
