"""Finds out who a caller is, by its token or its certificate."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from smidgen_service.errors import UnauthenticatedError
from smidgen_service.quotas import TenantLimits
from smidgen_service.security import identity_file
from smidgen_service.security.identities import Identities, IdentityError
from smidgen_service.security.principals import IMPLICIT, Principal
from smidgen_service.security.roles import Role
from smidgen_service.security.tokens import bearer, digest, token_id
from smidgen_service.store.tenancy import DEFAULT_TENANT

HEADER = "authorization"
_ALTERNATIVE_NAMES = "x509_subject_alternative_name"
_NOBODY = "0" * 64  # the digest of no token: unknown ids are compared like known ones

Metadata = Iterable[tuple[str, str | bytes]]
Peer = Callable[[], Mapping[str, Iterable[bytes]]]
"""Returns the properties of the connection, those of its certificate among them."""


def utc_now() -> datetime:
    """Returns the time."""
    return datetime.now(tz=UTC)


class Authenticator:
    """Checks credentials against the file of identities, if there is one.

    Without one, connections that showed a certificate are trusted as they are, and so is everyone
    where none is asked for.

    Args:
        path: The file; None without one.
        asks_for_certificates: Whether TLS has checked the certificates of clients.
        now: The time, for tokens that expire.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        asks_for_certificates: bool,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._path = path
        self._asks_for_certificates = asks_for_certificates
        self._now = now
        self.identities = Identities()
        self.reload()

    @property
    def is_strict(self) -> bool:
        """Whether callers have to say who they are by the file of identities."""
        return self._path is not None

    @property
    def tells_callers_apart(self) -> bool:
        """Whether strangers are kept out at all."""
        return self.is_strict or self._asks_for_certificates

    def reload(self) -> None:
        """Reads the file again.

        Raises:
            IdentityError: it cannot be used; the earlier identities stay.
        """
        if self._path is None:
            return
        found = identity_file.read(self._path)
        if found.certificates and not self._asks_for_certificates:
            raise IdentityError(
                f"{self._path} has certificates, and clients are not asked for theirs; add "
                "--tls-client-ca"
            )
        self.identities = found

    def limits_of(self, tenant: str) -> TenantLimits | None:
        """Returns the limits that the file sets for a tenant; None where it sets none."""
        return self.identities.tenants.get(tenant)

    def authenticate(self, metadata: Metadata, peer: Peer) -> Principal:
        """Returns who is calling.

        Raises:
            UnauthenticatedError: the credentials are missing, or not of anyone known here.
        """
        if self._path is None:
            return IMPLICIT if not self._asks_for_certificates else _certified(peer())
        values = authorization(metadata)
        if values:
            return self._by_token(values)
        if self._asks_for_certificates:
            return self._by_certificate(_alternative_names(peer()))
        raise _missing()

    def check_token(self, metadata: Metadata) -> None:
        """Refuses what cannot come from anyone known here, as far as the metadata tell.

        Raises:
            UnauthenticatedError: the token is wrong, or missing where it is all that counts.
        """
        values = authorization(metadata)
        if values:
            self._by_token(values)
        elif not self._asks_for_certificates:
            raise _missing()

    def _by_token(self, values: Sequence[str]) -> Principal:
        text = bearer(values[0]) if len(values) == 1 else None
        found = token_id(text) if text is not None else None
        if text is None or found is None:
            raise _invalid()
        entry = self.identities.tokens.get(found)
        kept = entry.sha256 if entry is not None else _NOBODY
        if not hmac.compare_digest(digest(text), kept) or entry is None:
            raise _invalid()
        if entry.expire_time is not None and self._now() >= entry.expire_time:
            # Said only to those who know the secret.
            raise UnauthenticatedError(
                f"the token {entry.id} has expired; ask the operator for a new one",
                reason="TOKEN_EXPIRED",
                token=entry.id,
            )
        return Principal(entry.id, entry.tenant, entry.roles)

    def _by_certificate(self, names: Iterable[str]) -> Principal:
        known = self.identities.certificates
        entries = {known[name] for name in names if name in known}
        if len(entries) != 1:  # none, or several that do not agree
            raise _invalid()
        entry = entries.pop()
        return Principal(entry.name, entry.tenant, entry.roles)


def authorization(metadata: Metadata) -> list[str]:
    """Returns the values of the `authorization` header."""
    return [value for key, value in metadata if key == HEADER and isinstance(value, str)]


def _alternative_names(properties: Mapping[str, Iterable[bytes]]) -> list[str]:
    return [name.decode(errors="replace") for name in properties.get(_ALTERNATIVE_NAMES, ())]


def _certified(properties: Mapping[str, Iterable[bytes]]) -> Principal:
    names = _alternative_names(properties)
    return Principal(names[-1] if names else "", DEFAULT_TENANT, frozenset({Role.ADMIN}))


def _missing() -> UnauthenticatedError:
    return UnauthenticatedError(
        "the call has no credentials; send the metadata `authorization: Bearer TOKEN` with a token "
        "that the operator gave you",
        reason="CREDENTIALS_MISSING",
    )


def _invalid() -> UnauthenticatedError:
    """Returns the one answer to all that is wrong with credentials."""
    return UnauthenticatedError(
        "the credentials are not valid here; check the token, or ask the operator for one",
        reason="CREDENTIALS_INVALID",
    )
