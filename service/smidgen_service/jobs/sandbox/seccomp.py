"""Seccomp: which calls of the kernel a process can make at all.

A list of what is forbidden, because the rest depends on the C library and on torch: starting
programs and processes, sockets, looking into other processes, and what only administrators need.
Source: Documentation/userspace-api/seccomp_filter.rst and include/uapi/linux/{filter,seccomp}.h.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smidgen_service.jobs.sandbox.kernel import NR_SECCOMP, machine, syscall

_SET_MODE_FILTER = 1
_ALL_THREADS = 1
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_IF_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_IF_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K
_AT_NUMBER, _AT_MACHINE, _AT_FIRST_ARGUMENT = 0, 4, 16  # of struct seccomp_data, little endian
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000  # another way to number calls on x86-64, which nothing here uses


@dataclass(frozen=True, slots=True)
class _Machine:
    """The numbers of an architecture."""

    audit: int
    clone: int
    clone3: int
    forbidden: Mapping[str, int]


_X86_64 = _Machine(
    audit=0xC000003E,
    clone=56,
    clone3=435,
    forbidden={
        "fork": 57,
        "vfork": 58,
        "execve": 59,
        "execveat": 322,
        "socket": 41,
        "socketpair": 53,
        "connect": 42,
        "bind": 49,
        "listen": 50,
        "accept": 43,
        "accept4": 288,
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "mount": 165,
        "umount2": 166,
        "pivot_root": 155,
        "chroot": 161,
        "setns": 308,
        "unshare": 272,
        "bpf": 321,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "kexec_load": 246,
        "init_module": 175,
        "finit_module": 313,
        "delete_module": 176,
        "perf_event_open": 298,
        "userfaultfd": 323,
        "open_by_handle_at": 304,
        "personality": 135,
        "reboot": 169,
        "swapon": 167,
        "io_uring_setup": 425,
    },
)
_AARCH64 = _Machine(
    audit=0xC00000B7,
    clone=220,
    clone3=435,
    forbidden={
        "execve": 221,
        "execveat": 281,
        "socket": 198,
        "socketpair": 199,
        "connect": 203,
        "bind": 200,
        "listen": 201,
        "accept": 202,
        "accept4": 242,
        "ptrace": 117,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "mount": 40,
        "umount2": 39,
        "pivot_root": 41,
        "chroot": 51,
        "setns": 268,
        "unshare": 97,
        "bpf": 280,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "kexec_load": 104,
        "init_module": 105,
        "finit_module": 273,
        "delete_module": 106,
        "perf_event_open": 241,
        "userfaultfd": 282,
        "open_by_handle_at": 265,
        "personality": 92,
        "reboot": 142,
        "swapon": 224,
        "io_uring_setup": 425,
    },
)
_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_available() -> bool:
    """Tells whether this kernel takes filters, and this machine's calls are known."""
    number = NR_SECCOMP.get(machine())
    if number is None or machine() not in _MACHINES:
        return False
    try:
        syscall(number, _SET_MODE_FILTER, _ALL_THREADS, None)
    except OSError as error:
        return error.errno == errno.EFAULT  # it looked for the filter, and there is none
    return False


def restrict() -> bool:
    """Takes the forbidden calls from all threads of this process for good; tells whether it did.

    They fail with EPERM from then on. PR_SET_NO_NEW_PRIVS must be set.

    Raises:
        OSError: the kernel has seccomp and refuses.
    """
    if not is_available():
        return False
    instructions = _instructions(_MACHINES[machine()])
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
    program = _Program(len(instructions), code)
    syscall(NR_SECCOMP[machine()], _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))
    return True


def _instructions(known: _Machine) -> Sequence[tuple[int, int, int, int]]:
    """Returns the filter: (code, skipped if true, skipped if false, operand) each."""
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    found = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_IF_EQUAL, 1, 0, known.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32),
        refuse,
        # Its flags lie in memory, where a filter cannot look; the C library then takes clone.
        (_IF_EQUAL, 0, 1, known.clone3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number in known.forbidden.values():
        found += [(_IF_EQUAL, 0, 1, number), refuse]
    # Threads, and no processes.
    found += [
        (_IF_EQUAL, 0, 3, known.clone),
        (_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        (_IF_ANY_BIT, 1, 0, _CLONE_THREAD),
        refuse,
        (_RETURN, 0, 0, _ALLOW),
    ]
    return found
