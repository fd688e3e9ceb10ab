"""The file of identities: tokens by their digests, certificates by their names, limits of tenants.

{
"version": 1,
"tokens": [
{"id": "0b2c4d6e8f10", "sha256": "…", "tenant": "acme", "roles": ["optimizer"],
"create_time": "2026-01-31T12:00:00Z", "expire_time": null, "note": "laptop"}
],
"certificates": [
{"name": "spiffe://acme/worker", "tenant": "acme", "roles": ["inferencer"]}
],
"tenants": {"acme": {"stored_bytes": 1000000000, "jobs": 4, "inferences": 8}}
}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from smidgen_service.quotas import TenantLimits
from smidgen_service.security.roles import Role

VERSION = 1
_TENANT = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TOKEN_ID = re.compile(r"[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_TEXT = 256


class IdentityError(Exception):
    """The file of identities cannot be used."""


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A token; see security.tokens."""

    id: str
    sha256: str
    tenant: str
    roles: frozenset[Role]
    create_time: datetime
    expire_time: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class CertificateEntry:
    """A certificate, by one of its subject alternative names."""

    name: str
    tenant: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class Identities:
    """What the file holds, by id, name and tenant."""

    tokens: Mapping[str, TokenEntry] = field(default_factory=dict)
    certificates: Mapping[str, CertificateEntry] = field(default_factory=dict)
    tenants: Mapping[str, TenantLimits] = field(default_factory=dict)


def parse(data: bytes) -> Identities:
    """Reads the file; whatever is not known in it is an error, lest a typing error let someone in.

    Raises:
        IdentityError: it is malformed; the message names the place.
    """
    try:
        document = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise IdentityError(f"it is not JSON ({error})") from None
    fields = _object(document, "the document", {"version", "tokens", "certificates", "tenants"})
    if fields.get("version") != VERSION:
        raise IdentityError(f"version is {fields.get('version')!r}, expected {VERSION}")
    tokens = [_token(entry, f"tokens[{n}]") for n, entry in _entries(fields, "tokens")]
    certificates = [
        _certificate(entry, f"certificates[{n}]") for n, entry in _entries(fields, "certificates")
    ]
    limits = _object(fields.get("tenants", {}), "tenants")
    return Identities(
        tokens=_by_key([(token.id, token) for token in tokens], "token id"),
        certificates=_by_key([(entry.name, entry) for entry in certificates], "certificate"),
        tenants={_tenant(name, "tenants"): _limits(name, limits[name]) for name in limits},
    )


def encode(identities: Identities) -> bytes:
    """Returns the file, in the order that the entries have."""
    document = {
        "version": VERSION,
        "tokens": [_token_document(token) for token in identities.tokens.values()],
        "certificates": [
            {"name": entry.name, "tenant": entry.tenant, "roles": sorted(entry.roles)}
            for entry in identities.certificates.values()
        ],
        "tenants": {
            tenant: {
                name: value
                for name in TenantLimits.__slots__
                if (value := getattr(limits, name)) is not None
            }
            for tenant, limits in identities.tenants.items()
        },
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def check_tenant(tenant: str) -> str:
    """Returns the id of a tenant.

    Raises:
        IdentityError: it has other characters or another length than such ids have.
    """
    return _tenant(tenant, "tenant")


def _token(value: object, place: str) -> TokenEntry:
    known = {"id", "sha256", "tenant", "roles", "create_time", "expire_time", "note"}
    fields = _object(value, place, known, {"id", "sha256", "tenant", "roles", "create_time"})
    expire_time = fields.get("expire_time")
    return TokenEntry(
        id=_text(fields["id"], f"{place}.id", _TOKEN_ID, "12 hexadecimal digits"),
        sha256=_text(fields["sha256"], f"{place}.sha256", _SHA256, "64 hexadecimal digits"),
        tenant=_tenant(fields["tenant"], f"{place}.tenant"),
        roles=_roles(fields["roles"], f"{place}.roles"),
        create_time=_time(fields["create_time"], f"{place}.create_time"),
        expire_time=None if expire_time is None else _time(expire_time, f"{place}.expire_time"),
        note=_text(fields.get("note", ""), f"{place}.note"),
    )


def _token_document(token: TokenEntry) -> dict[str, object]:
    return {
        "id": token.id,
        "sha256": token.sha256,
        "tenant": token.tenant,
        "roles": sorted(token.roles),
        "create_time": _time_text(token.create_time),
        "expire_time": None if token.expire_time is None else _time_text(token.expire_time),
        "note": token.note,
    }


def _certificate(value: object, place: str) -> CertificateEntry:
    known = {"name", "tenant", "roles"}
    fields = _object(value, place, known, known)
    name = _text(fields["name"], f"{place}.name")
    if not name:
        raise IdentityError(f"{place}.name is empty, expected a subject alternative name")
    tenant = _tenant(fields["tenant"], f"{place}.tenant")
    return CertificateEntry(name, tenant, _roles(fields["roles"], f"{place}.roles"))


def _limits(tenant: str, value: object) -> TenantLimits:
    place = f"tenants.{tenant}"
    fields = _object(value, place, set(TenantLimits.__slots__))
    for name, most in fields.items():
        if not isinstance(most, int) or isinstance(most, bool) or most < 0:
            raise IdentityError(f"{place}.{name} is {most!r}, expected a whole number from 0 on")
    return TenantLimits(**fields)


def _object(
    value: object,
    place: str,
    known: set[str] | None = None,
    required: set[str] | frozenset[str] = frozenset(),
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise IdentityError(f"{place} is not an object")
    unknown = sorted(set(value) - known) if known is not None else []
    if unknown:
        raise IdentityError(f"{place} has the unknown field {unknown[0]!r}")
    missing = sorted(required - set(value))
    if missing:
        raise IdentityError(f"{place} has no {missing[0]}")
    return value


def _entries(fields: dict[str, Any], name: str) -> enumerate[object]:
    entries = fields.get(name, [])
    if not isinstance(entries, list):
        raise IdentityError(f"{name} is not a list")
    return enumerate(entries)


def _by_key(entries: list[tuple[str, Any]], kind: str) -> dict[str, Any]:
    found = dict(entries)
    if len(found) < len(entries):
        keys = [key for key, _ in entries]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise IdentityError(f"the {kind} {twice!r} is there twice")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    return _by_key(list(pairs), "field")


def _tenant(value: object, place: str) -> str:
    return _text(value, place, _TENANT, "1 to 63 lower-case letters, digits and inner hyphens")


def _roles(value: object, place: str) -> frozenset[Role]:
    known = [role.value for role in Role]
    if not isinstance(value, list) or not value or any(role not in known for role in value):
        raise IdentityError(f"{place} is {value!r}, expected one or more of {', '.join(known)}")
    return frozenset(Role(role) for role in value)


def _text(
    value: object, place: str, form: re.Pattern[str] | None = None, expected: str = "text"
) -> str:
    if (
        not isinstance(value, str)
        or len(value) > _MOST_TEXT
        or (form is not None and not form.fullmatch(value))
    ):
        raise IdentityError(f"{place} is {str(value)[:_MOST_TEXT]!r}, expected {expected}")
    return value


def _time(value: object, place: str) -> datetime:
    try:
        found = datetime.fromisoformat(_text(value, place))
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise IdentityError(f"{place} is {value!r}, expected a time as in 2026-01-31T12:00:00Z")
    return found.astimezone(UTC)


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
