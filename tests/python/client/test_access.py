"""What a client needs to be let in."""

from __future__ import annotations

from pathlib import Path

import pytest

from smidgen.client import Access, AccessError, Client
from smidgen.client.access import call_metadata, read_token


def test_without_files_the_connection_is_plain() -> None:
    assert Access(token="a.b").credentials() is None
    assert Access(is_encrypted=True).credentials() is not None


def test_a_token_is_never_shown() -> None:
    assert "secret" not in repr(Access(token="id.secret"))


@pytest.mark.parametrize(
    "target",
    ["127.0.0.1:1", "localhost:1", "[::1]:1", "dns:///localhost:1", "unix:/run/s", "127.8.0.1:9"],
)
def test_a_token_stays_on_this_machine_without_tls(target: str) -> None:
    assert call_metadata(target, "a.b", is_encrypted=False) == (("authorization", "Bearer a.b"),)


@pytest.mark.parametrize("target", ["10.0.0.1:1", "example.org:1", "localhost.evil.org:1", "0:1"])
def test_a_token_crosses_a_network_over_tls_alone(target: str) -> None:
    with pytest.raises(AccessError, match="plain text") as caught:
        call_metadata(target, "id.secret", is_encrypted=False)
    assert caught.value.reason == "TOKEN_NEEDS_TLS"
    assert "secret" not in caught.value.message
    with pytest.raises(AccessError):
        Client(target, token="id.secret")
    assert call_metadata(target, "a.b", is_encrypted=True) == (("authorization", "Bearer a.b"),)
    assert call_metadata(target, None, is_encrypted=False) == ()


@pytest.mark.parametrize("token", ["", "two words", "line\n", "ümlaut", "x" * 513])
def test_what_is_no_token_is_refused_before_it_is_sent(token: str) -> None:
    with pytest.raises(AccessError, match="other characters"):
        call_metadata("127.0.0.1:1", token, is_encrypted=True)


def test_a_token_file_holds_one_token(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abc.def\n")
    assert read_token(path) == "abc.def"
    for content in (b"", b"two words", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(AccessError, match="token"):
            read_token(path)
    with pytest.raises(AccessError, match="No such file"):
        read_token(tmp_path / "absent")


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    with pytest.raises(AccessError, match=r"rubbish\.pem has no line with BEGIN CERTIFICATE"):
        Access(tls_ca=rubbish).credentials()
    with pytest.raises(AccessError, match=r"absent\.pem cannot be read"):
        Access(tls_ca=tmp_path / "absent.pem").credentials()
    with pytest.raises(AccessError, match="without its key"):
        Access(tls_cert=rubbish).credentials()
    halves = tmp_path / "halves.pem"
    halves.write_text("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(AccessError, match="not a certificate and its key"):
        Access(tls_cert=halves, tls_key=halves).credentials()
