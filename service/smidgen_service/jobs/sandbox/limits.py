"""What the kernel lets one worker have, and the ties to its server."""

from __future__ import annotations

import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from smidgen_service.jobs.sandbox.kernel import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, prctl

MEMORY_VARIABLE = "SMIDGEN_WORKER_MEMORY_BYTES"
FILE_VARIABLE = "SMIDGEN_WORKER_FILE_BYTES"
_OPEN_FILES = 256
"""Beside one for each file of the task: mapped files keep theirs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Most address space, and the largest file that may be written, in bytes."""

    memory_bytes: int
    file_bytes: int

    def to_environment(self) -> dict[str, str]:
        """Returns the variables by which a worker is told."""
        return {MEMORY_VARIABLE: str(self.memory_bytes), FILE_VARIABLE: str(self.file_bytes)}


def limits_of(environment: Mapping[str, str]) -> Limits | None:
    """Returns what to_environment wrote; None where there is nothing of it."""
    if MEMORY_VARIABLE not in environment:
        return None
    return Limits(int(environment[MEMORY_VARIABLE]), int(environment[FILE_VARIABLE]))


def tie_to_server() -> None:
    """Lets the process die with its server, gain no rights, and leave no picture of its memory."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    lower(resource.RLIMIT_CORE, 0)


def apply(limits: Limits, *, file_count: int) -> None:
    """Bounds address space, files that are written, and open files.

    Args:
        limits: The bounds.
        file_count: Files that the task names.
    """
    lower(resource.RLIMIT_AS, limits.memory_bytes)
    lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    lower(resource.RLIMIT_NOFILE, _OPEN_FILES + file_count)


def lower(kind: int, most: int) -> None:
    """Lowers a limit; one that is lower already stays."""
    _, hard = resource.getrlimit(kind)
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (value, value))
