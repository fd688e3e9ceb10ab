"""The file of identities: what it holds, what is refused, and how commands change it."""

from __future__ import annotations

import json
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen_service.security import identity_file
from smidgen_service.security.identities import (
    CertificateEntry,
    Identities,
    IdentityError,
    TenantLimits,
    TokenEntry,
    encode,
    parse,
)
from smidgen_service.security.roles import Role
from smidgen_service.security.tokens import bearer, digest, new_token, token_id

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOKEN = {
    "id": "0b2c4d6e8f10",
    "sha256": "a" * 64,
    "tenant": "acme",
    "roles": ["optimizer", "reader"],
    "create_time": "2026-01-31T12:00:00Z",
}

tenants = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
roles = st.frozensets(st.sampled_from(Role), min_size=1)
times = st.datetimes(
    min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1), timezones=st.just(UTC)
).map(lambda time: time.replace(microsecond=0))
tokens = st.builds(
    TokenEntry,
    id=st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    tenant=tenants,
    roles=roles,
    create_time=times,
    expire_time=st.none() | times,
    note=st.text(max_size=20),
)
certificates = st.builds(
    CertificateEntry, name=st.text(min_size=1, max_size=20), tenant=tenants, roles=roles
)
most = st.none() | st.integers(0, 2**62)
limits = st.builds(TenantLimits, stored_bytes=most, jobs=most, inferences=most)


@given(
    st.builds(
        Identities,
        tokens=st.lists(tokens, max_size=3).map(lambda found: {t.id: t for t in found}),
        certificates=st.lists(certificates, max_size=3).map(
            lambda found: {c.name: c for c in found}
        ),
        tenants=st.dictionaries(tenants, limits, max_size=3),
    )
)
def test_what_is_written_is_read(identities: Identities) -> None:
    assert parse(encode(identities)) == identities


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_anything_else_is_an_error_of_its_own(data: bytes) -> None:
    with pytest.raises(IdentityError):
        parse(data)


def document(**fields: Any) -> bytes:
    return json.dumps({"version": 1, **fields}).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "the document is not an object"),
        (b"{}", "version is None, expected 1"),
        (b'{"version": 2}', "version is 2, expected 1"),
        (b'{"version": 1, "version": 1}', "'version' is there twice"),
        (b"[" * 100_000, "it is not JSON"),
        (document(token=[]), "unknown field 'token'"),
        (document(tokens={}), "tokens is not a list"),
        (document(tokens=[{}]), r"tokens\[0\] has no create_time"),
        (document(tokens=[TOKEN, TOKEN]), "token id '0b2c4d6e8f10' is there twice"),
        (document(tokens=[{**TOKEN, "role": "x"}]), r"tokens\[0\] has the unknown field 'role'"),
        (document(tokens=[{**TOKEN, "roles": []}]), "expected one or more of reader"),
        (document(tokens=[{**TOKEN, "roles": ["root"]}]), "expected one or more of reader"),
        (document(tokens=[{**TOKEN, "tenant": "../x"}]), r"tokens\[0\]\.tenant is '\.\./x'"),
        (document(tokens=[{**TOKEN, "sha256": "A" * 64}]), "64 hexadecimal digits"),
        (document(tokens=[{**TOKEN, "expire_time": "2026-01-31T12:00:00"}]), "expected a time"),
        (document(tokens=[{**TOKEN, "expire_time": 5}]), r"expire_time is '5'"),
        (document(certificates=[{"name": "", "tenant": "a", "roles": ["admin"]}]), "is empty"),
        (document(tenants={"a": {"jobs": -1}}), "expected a whole number from 0 on"),
        (document(tenants={"a": {"jobs": True}}), "expected a whole number from 0 on"),
        (document(tenants={"a": {"job": 1}}), "unknown field 'job'"),
        (document(tenants={"A": {}}), "tenants is 'A'"),
    ],
)
def test_mistakes_are_named(data: bytes, message: str) -> None:
    with pytest.raises(IdentityError, match=message):
        parse(data)


def test_times_of_other_zones_are_converted() -> None:
    identities = parse(document(tokens=[{**TOKEN, "expire_time": "2026-01-31T14:00:00+02:00"}]))
    (token,) = identities.tokens.values()
    assert (token.create_time, token.expire_time) == (NOW, NOW)
    assert token.roles == {Role.OPTIMIZER, Role.READER}


def test_tokens_are_told_apart_and_their_ids_bound() -> None:
    made = [new_token() for _ in range(100)]
    assert len({token.id for token in made}) == len({token.text for token in made}) == 100
    assert all(token_id(token.text) == token.id for token in made)
    assert all(digest(token.text) == token.sha256 for token in made)
    first, second = made[:2]
    mixed = f"{first.id}.{second.text.partition('.')[2]}"
    assert digest(mixed) not in (first.sha256, second.sha256)


@pytest.mark.parametrize("text", ["", "a.b", "0b2c4d6e8f10.", "0b2c4d6e8f10." + "x" * 44])
def test_other_forms_are_no_tokens(text: str) -> None:
    assert token_id(text) is None


def test_the_scheme_is_read_as_http_has_it() -> None:
    assert bearer("Bearer abc") == bearer("bearer  abc") == "abc"
    for value in ("", "abc", "Basic abc", "Bearer", "Bearer a b", "Bearer abc "):
        assert bearer(value) is None


def test_created_tokens_are_kept_as_digests(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    token = identity_file.create_token(
        path, tenant="acme", roles=frozenset({Role.READER}), now=NOW, note="me"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token.text not in path.read_text()
    assert token.text.partition(".")[2] not in path.read_text()
    entry = identity_file.read(path).tokens[token.id]
    assert entry == TokenEntry(
        token.id, token.sha256, "acme", frozenset({Role.READER}), NOW, None, "me"
    )
    path.chmod(0o640)
    identity_file.revoke_token(path, token.id)
    assert identity_file.read(path) == Identities()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(IdentityError, match=f"has no token {token.id}"):
        identity_file.revoke_token(path, token.id)


def test_what_commands_do_not_know_of_stays(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    certificates = [{"name": "spiffe://a", "tenant": "a", "roles": ["admin"]}]
    path.write_bytes(document(certificates=certificates, tenants={"a": {"jobs": 3}}))
    before = identity_file.read(path)
    identity_file.create_token(path, tenant="a", roles=frozenset({Role.ADMIN}), now=NOW)
    after = identity_file.read(path)
    assert (after.certificates, after.tenants) == (before.certificates, before.tenants)
    assert len(after.tokens) == 1


def test_commands_at_the_same_time_lose_no_token(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"

    def create() -> None:
        identity_file.create_token(path, tenant="a", roles=frozenset({Role.ADMIN}), now=NOW)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(identity_file.read(path).tokens) == 8


def test_a_bad_tenant_or_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    with pytest.raises(IdentityError, match="tenant is 'Acme'"):
        identity_file.create_token(path, tenant="Acme", roles=frozenset({Role.ADMIN}), now=NOW)
    assert not path.exists()
    path.write_text("{")
    with pytest.raises(IdentityError, match="cannot be used: it is not JSON"):
        identity_file.create_token(path, tenant="a", roles=frozenset({Role.ADMIN}), now=NOW)
    assert path.read_text() == "{"
    with pytest.raises(IdentityError, match="cannot be read"):
        identity_file.read(tmp_path / "absent.json")
