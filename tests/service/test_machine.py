"""What the machine and the control groups leave to the server."""

from __future__ import annotations

import os
from pathlib import Path

from smidgen_service.machine import machine_memory_bytes

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


def found(folder: Path, groups: str, limits: dict[str, str]) -> int:
    """Returns what is found where the process has these groups, and files these limits."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(groups)
    for name, text in limits.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return machine_memory_bytes(folder / "proc", folder / "cgroup")


def test_a_container_sees_its_limit_at_the_root(tmp_path: Path) -> None:
    assert found(tmp_path, "0::/\n", {"memory.max": f"{64 * MIB}\n"}) == 64 * MIB


def test_the_least_of_a_group_and_those_around_it_holds(tmp_path: Path) -> None:
    limits = {
        "system.slice/memory.max": f"{32 * MIB}\n",
        "system.slice/smidgen.service/memory.max": "max\n",
        "other.slice/memory.max": "1\n",
    }
    assert found(tmp_path, "0::/system.slice/smidgen.service\n", limits) == 32 * MIB


def test_version_1_has_a_group_of_its_own_for_memory(tmp_path: Path) -> None:
    groups = "4:cpu,cpuacct:/a\n3:memory:/docker/1234\n0::/\n"
    limits = {"memory/memory.limit_in_bytes": f"{16 * MIB}\n"}  # all that a container sees
    assert found(tmp_path, groups, limits) == 16 * MIB


def test_without_limits_it_is_the_machines(tmp_path: Path) -> None:
    unlimited = {"memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}\n", "memory.max": "max\n"}
    assert found(tmp_path, "1:memory:/\n0::/\n", unlimited) == MACHINE
    assert machine_memory_bytes(tmp_path / "none", tmp_path / "none") == MACHINE
