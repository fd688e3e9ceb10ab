"""The port that fronts share, and the socket of the control process."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from smidgen_service.data_dir import DataDir
from smidgen_service.listening import port_taken

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
LONGEST_PATH = 107
"""Bytes of the path of a Unix socket, without the zero behind it."""


@contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Keeps a port for processes of this user that ask for it with SO_REUSEPORT.

    Connections go to those that listen, not to the sockets here.

    Args:
        host: The address, an IPv6 one in brackets.
        port: The port; 0 for any free one.

    Raises:
        PortTakenError: somebody has it.
    """
    with ExitStack() as stack:
        found = None
        try:
            for family, address in _addresses(host, port):
                place = (address[0], found or port, *address[2:])
                found = _reserve(stack, family, place) or found
        except OSError:
            found = None
        if found is None:
            raise port_taken(f"{host}:{port}")
        yield found


@contextmanager
def private_socket(data_dir: DataDir) -> Iterator[Path]:
    """Yields where a socket can be that only this user reaches."""
    folder = data_dir.control
    if len(os.fsencode(folder / "socket")) > LONGEST_PATH:
        folder = Path(tempfile.mkdtemp(prefix="smidgen-"))
    else:
        shutil.rmtree(folder, ignore_errors=True)  # of a server that was killed
        folder.mkdir(mode=0o700)
    try:
        yield folder / "socket"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[object, ...]]]:
    found = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _reserve(
    stack: ExitStack, family: socket.AddressFamily, address: tuple[object, ...]
) -> int | None:
    """Binds a socket and returns its port; None where the machine has no such address.

    Raises:
        OSError: somebody has the port.
    """
    try:
        taken = _bound(family, address, reuses=False)
    except OSError as error:
        if error.errno in _ABSENT:  # a name may stand for one of IPv6 as well
            return None
        # Connections of an earlier server may not have been forgotten yet.
        taken = _bound(family, address, reuses=True)
    stack.enter_context(taken)
    return int(taken.getsockname()[1])


def _bound(
    family: socket.AddressFamily, address: tuple[object, ...], *, reuses: bool
) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuses))
        bound.bind(address)
        # Only now: a port that another server has must be refused.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except BaseException:
        bound.close()
        raise
    return bound
