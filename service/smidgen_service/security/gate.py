"""Lets calls in: who is it, and may it call this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from smidgen.errors import SmidgenError
from smidgen_service.errors import PermissionDeniedError, UnauthenticatedError
from smidgen_service.metrics import Metrics
from smidgen_service.security.authentication import Metadata, Peer
from smidgen_service.security.permissions import PERMISSIONS, Rule
from smidgen_service.security.principals import Principal
from smidgen_service.security.roles import Role


class Authentication(Protocol):
    """Finds out who a caller is."""

    @property
    def is_strict(self) -> bool:
        """Whether callers have to say who they are in their metadata."""

    def authenticate(self, metadata: Metadata, peer: Peer, /) -> Principal:
        """Returns who is calling. Raises: UnauthenticatedError."""

    def check_token(self, metadata: Metadata, /) -> None:
        """Refuses what cannot come from anyone known. Raises: UnauthenticatedError."""


class Gate:
    """Decides by the table of permissions. Whatever is not in it is refused."""

    def __init__(
        self,
        authenticator: Authentication,
        metrics: Metrics,
        permissions: Mapping[str, Rule] = PERMISSIONS,
    ) -> None:
        self._authenticator = authenticator
        self._metrics = metrics
        self._permissions = permissions

    @property
    def tells_tenants_apart(self) -> bool:
        """Whether callers may be of different tenants."""
        return self._authenticator.is_strict

    def is_public(self, path: str) -> bool:
        """Tells whether a method needs no credentials."""
        rule = self._permissions.get(path)
        return rule is not None and rule.is_public

    def looks_at_headers(self, path: str) -> bool:
        """Tells whether `early_refusal` may refuse calls of a method."""
        rule = self._permissions.get(path)
        # grpc answers for methods that there are not.
        return rule is not None and not rule.is_public and self._authenticator.is_strict

    def early_refusal(self, path: str, metadata: Metadata) -> SmidgenError | None:
        """Returns why a call is refused of which nothing but the headers has been read.

        None leaves the decision to `admit`, which sees the connection as well.
        """
        if not self.looks_at_headers(path):
            return None
        try:
            self._authenticator.check_token(metadata)
        except UnauthenticatedError as error:
            return self._counted(error)
        return None

    def admit(self, path: str, metadata: Metadata, peer: Peer) -> Principal | None:
        """Returns who is calling; None for a public method, where nobody needs to know.

        Raises:
            UnauthenticatedError: the caller did not prove who it is.
            PermissionDeniedError: it has no role that may call this.
        """
        rule = self._permissions.get(path)
        if rule is not None and rule.is_public:
            return None
        try:
            principal = self._authenticator.authenticate(metadata, peer)
            if rule is None or not rule.roles & principal.roles:
                raise _denied(path, rule)
        except (UnauthenticatedError, PermissionDeniedError) as error:
            raise self._counted(error) from None
        return principal

    def _counted(self, error: SmidgenError) -> SmidgenError:
        self._metrics.auth_failures.labels(error.reason).inc()
        return error


def _denied(path: str, rule: Rule | None) -> PermissionDeniedError:
    method = path.rpartition("/")[2]
    roles = [role.value for role in Role if rule is not None and role in rule.roles]
    return PermissionDeniedError(
        f"{method} is for the roles {', '.join(roles) or 'of nobody'}, and the caller has none of "
        "them; ask the operator",
        reason="ROLE_MISSING",
        method=method,
        roles=",".join(roles),
    )
