"""Files of certificates: what is refused, and in which words."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from smidgen_service.security.certificates import (
    CertificateError,
    CertificateFiles,
    ServerCertificates,
)
from smidgen_service.settings import Settings
from tests.service.security.authority import Authority, Pair


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


def test_a_pair_and_roots_are_taken(authority: Authority, pair: Pair) -> None:
    files = CertificateFiles(pair.certificate, pair.key, authority.certificate)
    ServerCertificates(files).reload()
    assert files.paths == (pair.certificate, pair.key, authority.certificate)


def test_a_missing_file_is_named(pair: Pair, tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    with pytest.raises(CertificateError, match=r"absent\.pem cannot be read \(No such file"):
        ServerCertificates(CertificateFiles(absent, pair.key))
    with pytest.raises(CertificateError, match=r"cannot be read \(Is a directory\)"):
        ServerCertificates(CertificateFiles(pair.certificate, tmp_path))


def test_swapped_files_are_refused(pair: Pair) -> None:
    with pytest.raises(CertificateError, match=r"server\.key holds no certificate in PEM form"):
        ServerCertificates(CertificateFiles(pair.key, pair.certificate))
    with pytest.raises(CertificateError, match=r"server\.pem holds no private key in PEM form"):
        ServerCertificates(CertificateFiles(pair.certificate, pair.certificate))


def test_the_key_of_another_certificate_is_refused(authority: Authority, pair: Pair) -> None:
    other = authority.issue("other")
    with pytest.raises(CertificateError, match="is not that of the certificate"):
        ServerCertificates(CertificateFiles(pair.certificate, other.key))


def test_a_file_that_was_cut_short_is_refused(pair: Pair, tmp_path: Path) -> None:
    short = tmp_path / "short.pem"
    short.write_bytes(pair.certificate.read_bytes()[:200])
    with pytest.raises(CertificateError, match="neither cut short"):
        ServerCertificates(CertificateFiles(short, pair.key))
    with pytest.raises(CertificateError, match=r"the roots in .*short\.pem cannot be used"):
        ServerCertificates(CertificateFiles(pair.certificate, pair.key, short))
    with pytest.raises(CertificateError, match="holds no certificate"):
        ServerCertificates(CertificateFiles(pair.certificate, pair.key, pair.key))


@pytest.mark.parametrize("form", ["pkcs8", "ec"])
def test_a_key_with_a_passphrase_is_refused(pair: Pair, tmp_path: Path, form: str) -> None:
    protected = tmp_path / "protected.key"
    options = {
        "pkcs8": ("pkcs8", "-topk8", "-v2", "aes-128-cbc", "-passout", "pass:secret"),
        "ec": ("ec", "-aes128", "-passout", "pass:secret"),
    }[form]
    command = ["openssl", *options, "-in", pair.key, "-out", protected]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(CertificateError, match="protected by a passphrase"):
        ServerCertificates(CertificateFiles(pair.certificate, protected))


def test_no_message_holds_a_part_of_the_key(pair: Pair, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.key"
    lines = pair.key.read_text().splitlines()
    damaged.write_text("\n".join([lines[0], lines[1][::-1], *lines[2:]]))
    with pytest.raises(CertificateError) as caught:
        ServerCertificates(CertificateFiles(pair.certificate, damaged))
    assert lines[1][:12] not in str(caught.value)
    assert lines[1][::-1][:12] not in str(caught.value)


def test_settings_want_both_halves() -> None:
    with pytest.raises(ValidationError, match="--tls-cert is given without --tls-key"):
        Settings(tls_cert=Path("a"))
    with pytest.raises(ValidationError, match="--tls-key is given without --tls-cert"):
        Settings(tls_key=Path("a"))
    with pytest.raises(ValidationError, match="--tls-client-ca is given without"):
        Settings(tls_client_ca=Path("a"))
    assert Settings().certificate_files is None
    settings = Settings(tls_cert=Path("c"), tls_key=Path("k"), tls_client_ca=Path("r"))
    assert settings.certificate_files == CertificateFiles(Path("c"), Path("k"), Path("r"))
