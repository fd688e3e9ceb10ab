"""Calls of the kernel that Python has no functions for."""

from __future__ import annotations

import ctypes
import os
import platform

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

NR_SECCOMP = {"x86_64": 317, "aarch64": 277}
NR_LANDLOCK_CREATE_RULESET = 444  # these three are the same on every machine
NR_LANDLOCK_ADD_RULE = 445
NR_LANDLOCK_RESTRICT_SELF = 446

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38


def machine() -> str:
    """Returns the name of the processor's architecture, as `uname -m` does."""
    return platform.machine()


def syscall(number: int, *arguments: object) -> int:
    """Makes a system call.

    Raises:
        OSError: the kernel refused.
    """
    result = int(_LIBC.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        _raise_errno()
    return result


def prctl(option: int, value: int) -> None:
    """Changes a property of this process.

    Raises:
        OSError: the kernel refused.
    """
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero) != 0:
        _raise_errno()


def _raise_errno() -> None:
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))
