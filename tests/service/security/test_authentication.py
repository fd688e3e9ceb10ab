"""Who a caller is found to be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from smidgen_service.errors import PermissionDeniedError, UnauthenticatedError
from smidgen_service.metrics import Metrics
from smidgen_service.security import identity_file
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.gate import Gate
from smidgen_service.security.identities import (
    CertificateEntry,
    Identities,
    IdentityError,
    encode,
)
from smidgen_service.security.permissions import ANYONE, READ
from smidgen_service.security.principals import IMPLICIT, Principal
from smidgen_service.security.roles import Role

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
READER = frozenset({Role.READER})


def no_certificate() -> Mapping[str, list[bytes]]:
    return {}


def certificate(*names: bytes) -> Mapping[str, list[bytes]]:
    return {"x509_subject_alternative_name": list(names), "x509_common_name": [b"ignored"]}


def header(text: str) -> tuple[tuple[str, str], ...]:
    return (("user-agent", "x"), ("authorization", f"Bearer {text}"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.json"


def authenticator(path: Path | None, **options: bool) -> Authenticator:
    asks = options.get("asks_for_certificates", False)
    return Authenticator(path, asks_for_certificates=asks, now=lambda: NOW)


def refusal(found: Authenticator, metadata: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    with pytest.raises(UnauthenticatedError) as caught:
        found.authenticate(metadata, no_certificate)
    with pytest.raises(UnauthenticatedError) as early:
        found.check_token(metadata)
    assert (early.value.reason, early.value.message) == (caught.value.reason, caught.value.message)
    return caught.value.reason, caught.value.message


def test_without_a_file_everyone_is_the_same_admin() -> None:
    assert authenticator(None).authenticate(header("rubbish"), no_certificate) is IMPLICIT
    assert Principal("", "default", frozenset({Role.ADMIN})) == IMPLICIT


def test_a_token_says_tenant_and_roles(path: Path) -> None:
    token = identity_file.create_token(path, tenant="acme", roles=READER, now=NOW)
    found = authenticator(path)
    assert found.authenticate(header(token.text), no_certificate) == Principal(
        token.id, "acme", READER
    )


def test_everything_wrong_gets_one_answer(path: Path) -> None:
    token = identity_file.create_token(path, tenant="acme", roles=READER, now=NOW)
    other = identity_file.create_token(path, tenant="acme", roles=READER, now=NOW)
    found = authenticator(path)
    secret = token.text.partition(".")[2]
    wrong = [
        header(token.text[:-1] + ("A" if token.text[-1] != "A" else "B")),  # another secret
        header(f"{'0' * 12}.{secret}"),  # an id that there is not
        header(f"{other.id}.{secret}"),  # of another token
        header(token.text.upper()),
        header(token.sha256),  # what is in the file does not help
        header("x"),
        (("authorization", f"Basic {token.text}"),),
        header(token.text) + header(token.text),  # two of them
    ]
    answers = {refusal(found, metadata) for metadata in wrong}
    assert len(answers) == 1
    (answer,) = answers
    assert answer[0] == "CREDENTIALS_INVALID"
    assert token.id not in answer[1]
    assert refusal(found, ())[0] == "CREDENTIALS_MISSING"
    assert refusal(found, (("authorization-bin", token.text),))[0] == "CREDENTIALS_MISSING"


def test_expiry_is_told_to_the_holder_alone(path: Path) -> None:
    token = identity_file.create_token(path, tenant="a", roles=READER, now=NOW, expire_time=NOW)
    valid = identity_file.create_token(
        path, tenant="a", roles=READER, now=NOW, expire_time=NOW + timedelta(seconds=1)
    )
    found = authenticator(path)
    assert refusal(found, header(token.text))[0] == "TOKEN_EXPIRED"
    assert refusal(found, header(f"{token.id}.{'x' * 43}"))[0] == "CREDENTIALS_INVALID"
    assert found.authenticate(header(valid.text), no_certificate).name == valid.id


def test_a_changed_file_counts_after_a_reload_and_a_bad_one_does_not(path: Path) -> None:
    token = identity_file.create_token(path, tenant="a", roles=READER, now=NOW)
    found = authenticator(path)
    good = path.read_bytes()
    path.write_text("{")
    with pytest.raises(IdentityError):
        found.reload()
    assert found.authenticate(header(token.text), no_certificate).tenant == "a"
    path.write_bytes(good)
    identity_file.revoke_token(path, token.id)
    found.reload()
    assert refusal(found, header(token.text))[0] == "CREDENTIALS_INVALID"


def write_certificates(path: Path, *entries: CertificateEntry) -> None:
    path.write_bytes(encode(Identities(certificates={entry.name: entry for entry in entries})))


def test_a_certificate_stands_for_a_token(path: Path) -> None:
    write_certificates(
        path,
        CertificateEntry("spiffe://acme/a", "acme", READER),
        CertificateEntry("b.example", "other", READER),
    )
    found = authenticator(path, asks_for_certificates=True)
    names = (b"localhost", b"spiffe://acme/a")
    principal = found.authenticate((), lambda: certificate(*names))
    assert principal == Principal("spiffe://acme/a", "acme", READER)
    found.check_token(())  # it may still show a certificate
    for peer in (certificate(), certificate(b"ignored"), certificate(*names, b"b.example")):
        with pytest.raises(UnauthenticatedError) as caught:
            found.authenticate((), lambda shown=peer: shown)
        assert caught.value.reason == "CREDENTIALS_INVALID"


def test_a_wrong_token_is_not_made_good_by_a_certificate(path: Path) -> None:
    write_certificates(path, CertificateEntry("a", "acme", READER))
    found = authenticator(path, asks_for_certificates=True)
    with pytest.raises(UnauthenticatedError):
        found.authenticate(header("x"), lambda: certificate(b"a"))


def test_certificates_in_the_file_need_tls(path: Path) -> None:
    write_certificates(path, CertificateEntry("a", "acme", READER))
    with pytest.raises(IdentityError, match="--tls-client-ca"):
        authenticator(path)


def test_without_a_file_a_checked_certificate_is_enough() -> None:
    found = authenticator(None, asks_for_certificates=True)
    principal = found.authenticate((), lambda: certificate(b"localhost", b"me"))
    assert principal == Principal("me", "default", frozenset({Role.ADMIN}))


def test_the_gate_goes_by_the_table_and_refuses_the_rest(path: Path) -> None:
    token = identity_file.create_token(
        path, tenant="a", roles=frozenset({Role.INFERENCER}), now=NOW
    )
    metrics = Metrics()
    gate = Gate(authenticator(path), metrics, {"/s/Read": READ, "/s/Open": ANYONE})
    assert gate.admit("/s/Open", (), no_certificate) is None
    for method in ("/s/Read", "/s/Unlisted"):
        with pytest.raises(PermissionDeniedError) as caught:
            gate.admit(method, header(token.text), no_certificate)
        assert caught.value.reason == "ROLE_MISSING"
        assert "a" not in caught.value.metadata.values()
    early = gate.early_refusal("/s/Read", header("x"))
    assert early is not None
    assert early.reason == "CREDENTIALS_INVALID"
    assert gate.early_refusal("/s/Open", header("x")) is None
    assert gate.early_refusal("/s/Read", header(token.text)) is None
    counted = metrics.registry.get_sample_value
    assert counted("smidgen_auth_failures_total", {"reason": "ROLE_MISSING"}) == 2
    assert counted("smidgen_auth_failures_total", {"reason": "CREDENTIALS_INVALID"}) == 1
