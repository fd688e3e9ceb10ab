"""TLS of a running server: what is on the wire, who may connect, and new certificates."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from smidgen.cli.app import run
from smidgen.client import Access, Client, RemoteError, UnavailableError
from smidgen_service.security.identities import CertificateEntry, Identities, encode
from smidgen_service.security.roles import Role
from tests.service.running_server import (
    EVERY_CALL_LOGGED,
    PROCESSES,
    RunningServer,
    start_server,
)
from tests.service.security.authority import Authority, Pair

SECONDS = 10.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Where the server looks for its certificate, which tests replace."""
    folder = tmp_path_factory.mktemp("installed")
    return Pair(folder / "tls.pem", folder / "tls.key")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, installed: Pair
) -> Iterator[RunningServer]:
    install(authority.issue("first"), installed)
    running = start_server(
        tmp_path_factory.mktemp("tls") / "store",
        *("--tls-cert", str(installed.certificate), "--tls-key", str(installed.key)),
        credentials=Access(tls_ca=authority.certificate).credentials(),
    )
    yield running
    running.stop()


def install(pair: Pair, place: Pair) -> None:
    shutil.copy(pair.key, place.key)
    shutil.copy(pair.certificate, place.certificate)


def served_name(server: RunningServer, root: Path) -> str:
    """Returns the common name of the certificate of a new handshake."""
    context = ssl.create_default_context(cafile=str(root))
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        certificate = wrapped.getpeercert()
    assert certificate is not None
    return dict(part[0] for part in certificate["subject"])["commonName"]


def events(server: RunningServer, name: str) -> list[dict[str, object]]:
    return [entry for entry in server.logs() if entry["event"] == name]


def wait_for_events(server: RunningServer, name: str, count: int) -> list[dict[str, object]]:
    end = time.monotonic() + SECONDS
    while len(found := events(server, name)) < count and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_the_client_reaches_it_over_tls(server: RunningServer, authority: Authority) -> None:
    credentials = Access(tls_ca=authority.certificate).credentials()
    with Client(server.target, credentials=credentials) as client:
        client.wait_ready(SECONDS)
        assert list(client.list_models()) == []
    assert events(server, "server_started")[0]["is_encrypted"] is True


def test_the_command_line_takes_the_root(
    server: RunningServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_SERVER", server.target)
    assert run(["--tls-ca", str(authority.certificate), "models", "list"]) == 0
    assert run(["health", "--timeout", "0.2"]) == 3
    monkeypatch.setenv("SMIDGEN_TLS_CA", str(authority.certificate))
    assert run(["health", "--timeout", "10"]) == 0


def test_a_probe_beside_the_server_names_it_as_its_certificate_does(
    server: RunningServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMIDGEN_SERVER", server.target)
    monkeypatch.setenv("SMIDGEN_TLS_CA", str(authority.certificate))
    monkeypatch.setenv("SMIDGEN_TLS_NAME", "elsewhere.example")
    assert run(["health", "--timeout", "0.5"]) == 3
    monkeypatch.setenv("SMIDGEN_TLS_NAME", "localhost")
    assert run(["health", "--timeout", "10"]) == 0


def test_plain_text_and_other_roots_do_not_connect(server: RunningServer, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    for credentials in (None, Access(tls_ca=other.certificate).credentials()):
        with (
            Client(server.target, credentials=credentials) as client,
            pytest.raises(UnavailableError),
        ):
            client.wait_ready(0.3)


def test_old_versions_of_tls_are_refused(server: RunningServer) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain)


def test_a_new_certificate_is_used_without_a_restart(
    server: RunningServer, authority: Authority, installed: Pair
) -> None:
    with Client(
        server.target, credentials=Access(tls_ca=authority.certificate).credentials()
    ) as client:
        list(client.list_models())
        assert served_name(server, authority.certificate) == "first"
        before = len(events(server, "reloaded"))
        install(authority.issue("second"), installed)
        assert len(wait_for_events(server, "reloaded", before + PROCESSES)) >= before + PROCESSES
        assert served_name(server, authority.certificate) == "second"
        list(client.list_models())  # the open connection goes on


def test_a_bad_certificate_leaves_the_earlier_one_in_use(
    server: RunningServer, authority: Authority, installed: Pair
) -> None:
    name = served_name(server, authority.certificate)
    before = len(events(server, "reload_refused"))
    installed.key.write_text("rubbish")
    refused = wait_for_events(server, "reload_refused", before + PROCESSES)[-1]
    assert "tls.key holds no private key in PEM form" in str(refused["error_text"])
    assert served_name(server, authority.certificate) == name
    reloaded = len(events(server, "reloaded"))
    install(authority.issue("third"), installed)
    server.process.send_signal(signal.SIGHUP)
    wait_for_events(server, "reloaded", reloaded + PROCESSES)
    assert served_name(server, authority.certificate) == "third"


def test_certificates_of_clients_say_who_they_are(
    authority: Authority, installed: Pair, tmp_path: Path
) -> None:
    install(authority.issue("server"), installed)
    clients = Authority(tmp_path / "clients")
    known = clients.issue("known", "URI:spiffe://acme/worker")
    unknown, foreign = clients.issue("unknown"), authority.issue("foreign")
    entry = CertificateEntry("spiffe://acme/worker", "acme", frozenset({Role.READER}))
    auth_file = tmp_path / "auth.json"
    auth_file.write_bytes(encode(Identities(certificates={entry.name: entry})))
    server = start_server(
        tmp_path / "store",
        *EVERY_CALL_LOGGED,
        *("--tls-cert", str(installed.certificate), "--tls-key", str(installed.key)),
        *("--tls-client-ca", str(clients.certificate), "--auth-file", str(auth_file)),
    )

    def client(pair: Pair | None) -> Client:
        access = Access(
            tls_ca=authority.certificate,
            tls_cert=None if pair is None else pair.certificate,
            tls_key=None if pair is None else pair.key,
        )
        return Client(server.target, credentials=access.credentials(), timeout_s=SECONDS)

    try:
        with client(known) as opened:
            opened.wait_ready(SECONDS)
            assert list(opened.list_models()) == []
            with pytest.raises(RemoteError) as caught:
                opened.delete_model("m")
            assert caught.value.reason == "ROLE_MISSING"
        with client(unknown) as opened:
            opened.wait_ready(SECONDS)
            with pytest.raises(RemoteError) as caught:
                list(opened.list_models())
            assert caught.value.reason == "CREDENTIALS_INVALID"
        for stranger in (None, foreign):
            with client(stranger) as opened, pytest.raises(UnavailableError):
                opened.wait_ready(0.3)
        calls = [entry for entry in events(server, "rpc") if entry.get("caller")]
        assert {(call["caller"], call["tenant"]) for call in calls} == {
            ("spiffe://acme/worker", "acme")
        }
    finally:
        server.stop()


def test_a_server_with_a_bad_key_does_not_start(authority: Authority, tmp_path: Path) -> None:
    pair, other = authority.issue("one"), authority.issue("two")
    command = [sys.executable, "-m", "smidgen_service", "--data-dir", str(tmp_path / "store")]
    command += ["--tls-cert", str(pair.certificate), "--tls-key", str(other.key)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "is not that of the certificate" in ended.stderr
    assert "Traceback" not in ended.stderr
