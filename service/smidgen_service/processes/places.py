"""The port that fronts share, and the socket of the control process."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from smidgen_service.data_dir import DataDir
from smidgen_service.listening import port_taken

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
        try:
            for family, address in _addresses(host, port):
                taken = stack.enter_context(_reserved(family, (address[0], port, *address[2:])))
                port = taken.getsockname()[1]
        except OSError:
            raise port_taken(f"{host}:{port}") from None
        yield port


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


def _reserved(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    """Binds a socket that nobody else's may share the address with.

    Raises:
        OSError: somebody has it.
    """
    try:
        return _bound(family, address, reuses=False)
    except OSError:
        # Connections of an earlier server may not have been forgotten yet.
        return _bound(family, address, reuses=True)


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
