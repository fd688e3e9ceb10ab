"""Landlock: which files a process can reach at all, whatever its user may.

Source: Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h of the kernel.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from smidgen_service.jobs.sandbox.kernel import (
    NR_LANDLOCK_ADD_RULE,
    NR_LANDLOCK_CREATE_RULESET,
    NR_LANDLOCK_RESTRICT_SELF,
    syscall,
)

_GET_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_FIRST_RIGHTS = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_RIGHTS_BY_VERSION = (
    (1, _FIRST_RIGHTS),
    (2, _REFER),
    (3, _TRUNCATE),
    (5, _IOCTL_DEV),
)
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_TCP_BY_VERSION = ((4, 3),)  # bind and connect
_SCOPES_BY_VERSION = ((6, 3),)  # abstract sockets of others, and signals to them
_SIZES_BY_VERSION = ((1, 8), (4, 8), (6, 8))  # of _RulesetAttributes
_READ = _READ_FILE | _READ_DIR
_DEVICES = (Path("/dev/null"),)


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathAttributes(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass(frozen=True, slots=True)
class Reach:
    """What a process may reach.

    Attributes:
        hidden: A directory of which nothing may be read but what follows.
        readable: Files and folders that may be read all the same.
        writable: Folders in which everything may be done but to execute.
    """

    hidden: Path
    readable: tuple[Path, ...]
    writable: tuple[Path, ...]


def version() -> int:
    """Returns the version of Landlock that the kernel has; 0 for none."""
    try:
        return syscall(NR_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_VERSION)
    except OSError:
        return 0


def restrict(reach: Reach) -> int:
    """Takes everything else from this process for good; returns the version that does, or 0.

    Nothing can be executed afterwards, no TCP connection made or taken (version 4), and no process
    be sent a signal but those that are restricted alike (version 6).

    Raises:
        OSError: the kernel has Landlock and refuses.
    """
    found = version()
    if found == 0:
        return 0
    handled = _sum(_RIGHTS_BY_VERSION, found)
    attributes = _RulesetAttributes(
        handled, _sum(_TCP_BY_VERSION, found), _sum(_SCOPES_BY_VERSION, found)
    )
    size = ctypes.c_size_t(_sum(_SIZES_BY_VERSION, found))
    ruleset = syscall(NR_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    try:
        for path, rights in _rules(reach, handled):
            _allow(ruleset, path, rights)
        syscall(NR_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return found


def _rules(reach: Reach, handled: int) -> Iterator[tuple[Path, int]]:
    yield from ((path, _READ) for path in _all_but(reach.hidden))
    yield from ((path, _READ) for path in reach.readable)
    yield from ((path, handled & ~_EXECUTE) for path in reach.writable)
    yield from ((path, _READ_FILE | _WRITE_FILE) for path in _DEVICES)


def _all_but(hidden: Path) -> Iterator[Path]:
    """Yields what covers the whole file system but for one directory and the names above it."""
    for folder in hidden.parents:
        below = next(path for path in (hidden, *hidden.parents) if path.parent == folder)
        with suppress(OSError):  # what may not be listed may not be read either
            yield from (
                Path(entry.path)
                for entry in os.scandir(folder)
                if entry.name != below.name and not entry.is_symlink()
            )


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Adds a rule; what is gone, or cannot be opened, gets none."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        attributes = _PathAttributes(rights if is_folder else rights & _OF_FILES, descriptor)
        syscall(NR_LANDLOCK_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(attributes), 0)
    finally:
        os.close(descriptor)


def _sum(table: Iterable[tuple[int, int]], found: int) -> int:
    """Adds up what each version up to the found one brought."""
    return sum(rights for since, rights in table if found >= since)
