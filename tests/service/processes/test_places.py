"""The port that fronts share, and the socket that nobody else reaches."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from smidgen_service.data_dir import DataDir
from smidgen_service.listening import PortTakenError
from smidgen_service.processes.places import LONGEST_PATH, private_socket, reserved_port


def listening(port: int, *, shares: bool) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shares))
    try:
        found.bind(("127.0.0.1", port))
    except OSError:
        found.close()
        raise
    found.listen()
    return found


def test_a_reserved_port_is_for_those_that_share_it() -> None:
    with reserved_port("127.0.0.1", 0) as port:
        with listening(port, shares=True) as first, listening(port, shares=True) as second:
            for one in (first, second):
                one.setblocking(False)
            connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
            taken = [accepted(one) for one in (first, second)]
            assert sum(taken) == 40
            assert min(taken) > 0
            for connection in connections:
                connection.close()
        with pytest.raises(OSError, match="in use"):
            listening(port, shares=False)


def accepted(one: socket.socket) -> int:
    count = 0
    while True:
        try:
            one.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def test_a_port_that_anyone_has_is_refused() -> None:
    with (
        reserved_port("127.0.0.1", 0) as taken,
        pytest.raises(PortTakenError),
        reserved_port("127.0.0.1", taken),
    ):
        pass
    for shares in (False, True):
        with listening(0, shares=shares) as other:
            port = other.getsockname()[1]
            with pytest.raises(PortTakenError), reserved_port("127.0.0.1", port):
                pass
    with pytest.raises(PortTakenError), reserved_port("no.such.host.invalid", 0):
        pass


def test_addresses_of_a_name_that_the_machine_lacks_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking, there = ("192.0.2.1", 0), ("127.0.0.1", 0)
    for found in ([lacking, there], [there, lacking], [there]):
        addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in found]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, a=addresses, **__: a)
        with reserved_port("name", 0) as port, listening(port, shares=True) as one:
            assert one.getsockname() == ("127.0.0.1", port)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", lacking)]
    )
    with pytest.raises(PortTakenError, match="name:0"), reserved_port("name", 0):
        pass


def test_connections_that_are_not_forgotten_yet_do_not_keep_a_port() -> None:
    with listening(0, shares=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # whoever closes first remembers it for a minute
    with reserved_port("127.0.0.1", port) as found:
        assert found == port


def test_the_socket_is_in_a_folder_of_its_user_alone(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    left = tmp_path / "control" / "left"
    left.mkdir(parents=True)
    with private_socket(data_dir) as path:
        assert path.parent == tmp_path / "control"
        assert list(path.parent.iterdir()) == []
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_long_path_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    root = tmp_path / ("d" * LONGEST_PATH)
    root.mkdir()
    with private_socket(DataDir(root)) as path, socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        assert not path.is_relative_to(root)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()
